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
import { announce, explain, note, setUp, wrong } from "./lib/tell.js";
import { actorName } from "./lib/person.js";
import { undoLast } from "./lib/undo.js";
import { choose, language, say, t } from "./lib/words.js";
import { handCode } from "./views/device.js";
import { signInAgain, signInForm, whyNot } from "./views/sign-in.js";
import "./views/account.js";
import "./views/activity.js";
import "./views/admin.js";
import "./views/admin-clients.js";
import "./views/admin-people.js";
import "./views/admin-settings.js";
import "./views/admin-sidecars.js";
import "./views/apply.js";
import "./views/batch.js";
import "./views/batches.js";
import "./views/compare.js";
import "./views/library.js";
import "./views/purge-list.js";
import "./views/review.js";

/** @typedef {import("./lib/words.js").Word} Word */
const LIBRARY = /^\/(?:library)?$/;
/** @type {Array<[RegExp, string, Word, string]>} path, element, title, place in the menu */
const VIEWS = [
  [/^\/review(?:\/[\w-]+)?$/, "r-review", "nav_review", "/review"],
  [/^\/compare\/[\w,-]+$/, "r-compare", "compare_title", "/review"],
  [/^\/apply$/, "r-apply", "nav_apply", "/apply"],
  [/^\/purge$/, "r-purge", "purge_list", "/"],
  [/^\/batches$/, "r-batches", "batches_title", "/apply"],
  [/^\/batches\/[\w-]+$/, "r-batch", "batch_title", "/apply"],
  [/^\/account$/, "r-account", "account", ""],
  [/^\/activity$/, "r-activity", "nav_activity", "/activity"],
  [/^\/device$/, "r-device", "device_title", ""],
  [/^\/admin$/, "r-admin", "admin", "/admin"],
  [/^\/admin\/people$/, "r-admin-people", "people", "/admin"],
  [/^\/admin\/clients$/, "r-admin-clients", "clients", "/admin"],
  [/^\/admin\/features$/, "r-admin-features", "features", "/admin"],
  [/^\/admin\/settings$/, "r-admin-settings", "settings", "/admin"],
  [/^\/admin\/sidecars$/, "r-admin-sidecars", "sidecars", "/admin"],
  [LIBRARY, "r-library", "nav_library", "/"],
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

const main = h("main", { id: "main", tabIndex: -1 });
const nav = h("nav", { "aria-label": t("nav") });
const state = h("span", { class: "state-of-things", role: "status" });
let shown = "";

function show() {
  const view = VIEWS.find(([path]) => path.test(location.pathname));
  const [, tag, title, place] = view ?? VIEWS[VIEWS.length - 1] ?? [];
  if (!tag || !title) return;
  fill(nav, [...MENU, ...(isAdmin() ? ADMINS : [])].map(([path, word]) => h("a", { href: path, "aria-current": path === place && "page" }, t(word))));
  document.title = `${t(title)} – Retaia`;
  // The same view at another address answers it itself.
  if (shown === tag && main.firstElementChild?.getAttribute("data-follows") !== null) {
    main.firstElementChild?.dispatchEvent(new Event("address"));
    return;
  }
  shown = tag;
  main.replaceChildren(document.createElement(tag));
  if (!main.contains(document.activeElement)) main.focus({ preventScroll: true });
  announce(t(title));
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
  if (LIBRARY.test(location.pathname)) askEarly(queryOf(filters()));
  await readPerson();
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
  handCode(given.get("code") ?? "");
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  join();
  let said = "";
  if (link) await followLink(link).catch((error) => (said = whyNot(error)));
  if (!isSignedIn()) await restore();
  if (!isSignedIn()) await ask(said);
  else if (said) queueMicrotask(() => note(said));
  await start();
}

begin().catch((error) => {
  setUp();
  wrong(error, () => location.reload());
});
