// Signs the person in, shows the frame around every view, and the view that the address names.

import { annotations } from "./lib/annotations.js";
import { decisions } from "./lib/decisions.js";
import { fill, h, named, plain } from "./lib/dom.js";
import { reach } from "./lib/api.js";
import { listen } from "./lib/events.js";
import { askEarly } from "./lib/feed.js";
import { filters, queryOf } from "./lib/filters.js";
import { shortcuts, showKeys } from "./lib/keys.js";
import { isAdmin, person, readPerson } from "./lib/person.js";
import { go, listenToAddresses, router } from "./lib/router.js";
import { changes, followLink, isSignedIn, join, restore, signOut } from "./lib/session.js";
import { announce, blank, explain, note, setUp, wrong } from "./lib/tell.js";
import { actorName } from "./lib/person.js";
import { undoLast } from "./lib/undo.js";
import { choose, language, say, t } from "./lib/words.js";
import { signInAgain, signInForm, whyNot } from "./views/sign-in.js";

/** @typedef {import("./lib/words.js").Word} Word */
/** @typedef {[RegExp, string, Word, string, () => Promise<unknown>]} View path, element, title, place in the menu, and what brings it */
/** @type {View} */
const LIBRARY = [/^\/(?:library)?$/, "r-library", "nav_library", "/", () => import("./views/library.js")];
/** @type {View[]} */
const VIEWS = [
  LIBRARY,
  [/^\/review(?:\/[\w-]+)?$/, "r-review", "nav_review", "/review", () => import("./views/review.js")],
  [/^\/compare\/[\w,-]+$/, "r-compare", "compare_title", "/review", () => import("./views/compare.js")],
  [/^\/apply$/, "r-apply", "nav_apply", "/apply", () => import("./views/apply.js")],
  [/^\/purge$/, "r-purge", "purge_list", "/", () => import("./views/purge-list.js")],
  [/^\/batches$/, "r-batches", "batches_title", "/apply", () => import("./views/batches.js")],
  [/^\/batches\/[\w-]+$/, "r-batch", "batch_title", "/apply", () => import("./views/batch.js")],
  [/^\/account$/, "r-account", "account", "", () => import("./views/account.js")],
  [/^\/activity$/, "r-activity", "nav_activity", "/activity", () => import("./views/activity.js")],
  [/^\/device$/, "r-device", "device_title", "", () => import("./views/device.js")],
  [/^\/admin$/, "r-admin", "admin", "/admin", () => import("./views/admin.js")],
  [/^\/admin\/people$/, "r-admin-people", "people", "/admin", () => import("./views/admin-people.js")],
  [/^\/admin\/clients$/, "r-admin-clients", "clients", "/admin", () => import("./views/admin-clients.js")],
  [/^\/admin\/features$/, "r-admin-features", "features", "/admin", () => import("./views/admin.js")],
  [/^\/admin\/settings$/, "r-admin-settings", "settings", "/admin", () => import("./views/admin-settings.js")],
  [/^\/admin\/sidecars$/, "r-admin-sidecars", "sidecars", "/admin", () => import("./views/admin-sidecars.js")],
];
/** @type {Array<[string, Word]>} */
const MENU = [
  ["/", "nav_library"],
  ["/review", "nav_review"],
  ["/apply", "nav_apply"],
  ["/activity", "nav_activity"],
];
/** @type {Array<[string, Word]>} */
const ADMINS = [["/admin", "admin"]];
const THEME = "retaia.theme";
const LATER_MS = 1000;

const main = h("main", { id: "main", tabIndex: -1 });
const nav = h("nav", { "aria-label": t("nav") });
const state = h("span", { class: "state-of-things", role: "status" });
let shown = "";

/** The view that the address names. */
const viewHere = () => VIEWS.find(([path]) => path.test(location.pathname)) ?? LIBRARY;

/** Show the view that the address names; what was shown stays until that is here. */
function show() {
  const view = viewHere();
  const [, tag, title, , bring] = view;
  if (customElements.get(tag)) return put(view, () => document.createElement(tag));
  const ifStill = (/** @type {() => void} */ act) => () => void (view === viewHere() && act());
  bring().then(ifStill(show), ifStill(() => put(view, () => lack(title))));
}

/** @param {View} view @param {() => HTMLElement} make what shows it */
function put([, tag, title, place], make) {
  fill(nav, [...MENU, ...(isAdmin() ? ADMINS : [])].map(([path, word]) => h("a", { href: path, "aria-current": path === place && "page" }, t(word))));
  document.title = `${t(title)} – Retaia`;
  // The same view at another address answers it itself.
  if (shown === tag && main.firstElementChild?.getAttribute("data-follows") !== null) {
    main.firstElementChild?.dispatchEvent(new Event("address"));
    return;
  }
  shown = tag;
  main.replaceChildren(make());
  if (!main.contains(document.activeElement)) main.focus({ preventScroll: true });
  announce(t(title));
}

/** In the place of a view that could not be brought. @param {Word} title */
function lack(title) {
  return h("section", null, h("h1", { class: "aloud" }, t(title)), blank(t("error_title"), t("view_missing"), h("button", { click: show }, t("try_again"))));
}

/** Bring a view that is not shown yet: where that fails, `show` asks again, and tells. @param {View} view */
const ahead = ([, , , , bring]) => bring().catch(() => undefined);

/** Have every view here before the person, or a server that goes away, asks for it. */
async function bringAll() {
  for (const view of VIEWS) await ahead(view);
}

function theme() {
  const chosen = localStorage.getItem(THEME) ?? "";
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

/** @param {Word} label @param {string[][]} options @param {string} value @param {(value: string) => void} change */
function choice(label, options, value, change) {
  const select = h(
    "select",
    { change: () => change(select.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)),
  );
  return h("label", null, h("span", null, t(label)), select);
}

function menu() {
  const themes = [["", t("theme_system")], ["light", t("theme_light")], ["dark", t("theme_dark")]];
  const changeTheme = (/** @type {string} */ value) => {
    localStorage.setItem(THEME, value);
    theme();
  };
  const panel = h(
    "div",
    { id: "menu", popover: "auto", class: "menu" },
    h("p", null, named(person().display_name || person().email), h("br"), h("span", { class: "soft" }, plain(person().email))),
    h("a", { class: "button", href: "/account", click: () => panel.hidePopover() }, t("account")),
    choice("language", [["en", "English"], ["fr", "Français"]], language, choose),
    choice("theme", themes, localStorage.getItem(THEME) ?? "", changeTheme),
    h("button", { click: () => (panel.hidePopover(), showKeys()) }, t("keys_title")),
    h("button", { click: () => void signOut() }, t("sign_out")),
  );
  const opener = h("button", { class: "quiet", "aria-label": t("menu"), popovertarget: "menu" }, "☰");
  return [opener, panel];
}

function frame() {
  fill(
    document.body,
    h("a", { class: "skip", href: "#main", click: (/** @type {Event} */ e) => (e.preventDefault(), main.focus()) }, t("skip")),
    h("header", { class: "top" }, h("a", { href: "/", class: "brand" }, "Retaia"), nav, state, ...menu()),
    main,
  );
  setUp();
}

/** What the person has to know wherever they are: nothing, where all is well. */
let down = false;
function tellState() {
  const waits = decisions.waiting;
  const said = annotations.waiting;
  const texts = [
    down && t("away"),
    waits > 1 || (waits && down) ? t("waiting_n", { n: waits }) : "",
    said > 1 || (said && down) ? t("waiting_said_n", { n: said }) : "",
  ];
  fill(state, texts.filter(Boolean).join(" · "));
  state.classList.toggle("wrong-text", down);
}

function listenToDecisions() {
  for (const outbox of [decisions, annotations]) outbox.addEventListener("waiting", tellState);
  decisions.addEventListener("refused", (event) => {
    const { item, error } = /** @type {CustomEvent} */ (event).detail;
    note(t("decision_refused", { name: plain(item.name), why: explain(error) }), {
      wrong: true,
      act: { label: t("look"), run: () => go(`/review/${item.uuid}`) },
    });
  });
  decisions.addEventListener("meanwhile", (event) => {
    const { item, others } = /** @type {CustomEvent} */ (event).detail;
    const last = others[others.length - 1];
    const given = { name: plain(item.name), by: plain(actorName(last.by)), theirs: say("action", last.action), yours: say("action", item.action) };
    note(t("decided_meanwhile", given), { wrong: true, act: { label: t("look"), run: () => go(`/review/${item.uuid}`) } });
  });
  annotations.addEventListener("refused", (event) => {
    const { item, error } = /** @type {CustomEvent} */ (event).detail;
    note(t("said_refused", { name: plain(item.name), why: explain(error) }), {
      wrong: true,
      act: { label: t("look"), run: () => go(`/review/${item.uuid}`) },
    });
  });
  addEventListener("beforeunload", (event) => {
    if (decisions.waiting + annotations.waiting && down) event.preventDefault();
  });
}

const EVERYWHERE = /** @type {import("./lib/keys.js").Shortcut[]} */ ([
  { keys: "?", does: "keys_title", act: showKeys },
  { keys: "ctrl+z", does: "undo", act: undoLast },
  { keys: "alt+1", does: "nav_library", act: () => go("/") },
  { keys: "alt+2", does: "nav_review", act: () => go("/review") },
  { keys: "alt+3", does: "nav_apply", act: () => go("/apply") },
  { keys: "alt+4", does: "nav_activity", act: () => go("/activity") },
  { keys: "alt+5", does: "admin", act: () => go("/admin") },
]);

async function start() {
  const view = viewHere();
  if (view === LIBRARY) askEarly(queryOf(filters()));
  await Promise.all([readPerson(), ahead(view)]);
  frame();
  listenToAddresses();
  router.addEventListener("go", show);
  shortcuts("keys_everywhere", EVERYWHERE);
  reach.addEventListener("down", () => ((down = true), tellState()));
  reach.addEventListener("up", () => ((down = false), tellState()));
  listenToDecisions();
  decisions.begin(person().uuid ?? person().email);
  annotations.begin(person().uuid ?? person().email);
  changes.addEventListener("over", () => {
    const dialog = signInAgain();
    if (dialog) changes.addEventListener("in", () => dialog.remove(), { once: true });
  });
  changes.addEventListener("out", () => location.replace("/"));
  void listen();
  show();
  setTimeout(() => void bringAll(), LATER_MS);
}

/** @param {string} said */
function ask(said) {
  document.title = `${t("signin_title")} – Retaia`;
  const form = signInForm({ said });
  fill(document.body, h("main", { class: "door" }, h("p", { class: "brand" }, "Retaia"), form));
  form.querySelector("input")?.focus();
  return new Promise((on) => changes.addEventListener("in", on, { once: true }));
}

/** A link or a code that is opened where this page is open already changes only what follows the `#`. */
function followLater() {
  addEventListener("hashchange", () => /^#(link|code)=/.test(location.hash) && location.reload());
}

async function begin() {
  followLater();
  document.documentElement.lang = language;
  theme();
  const given = new URLSearchParams(location.hash.slice(1));
  const link = given.get("link");
  const code = given.get("code");
  let said = "";
  const followed = link && followLink(link).catch((error) => (said = whyNot(error)));
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  join();
  if (code) (await import("./views/device.js")).handCode(code);
  await followed;
  if (!isSignedIn()) await restore();
  if (!isSignedIn()) await ask(said);
  else if (said) queueMicrotask(() => note(said));
  await start();
}

begin().catch((error) => {
  setUp();
  wrong(error, () => location.reload());
});
