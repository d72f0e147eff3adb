// What happens now; first what needs a person.

import { get, post } from "../lib/api.js";
import { fill, h, named, plain } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { when } from "../lib/format.js";
import { isAdmin } from "../lib/person.js";
import { blank, explain, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { table } from "./plan.js";
import { whyPanel } from "./why.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["AssetSummary"]} Asset */
/** @typedef {Array<[string, number]>} Flagged */
/** @typedef {{asset: Asset, jobs: Schemas["JobReport"][]}} Failed */

const EVERY_MS = 5000;
const SOON_MS = 400;
const FAILED_SHOWN = 50;
const FLAGGED_COUNTED = 100;
/** What no system can put right by itself, the most pressing first. */
const LOOKED_AT = ["parked", "fixity_mismatch", "missing", "changed"];

class Activity extends HTMLElement {
  #timer = 0;
  #told = "";
  #soon = () => {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), SOON_MS);
  };

  connectedCallback() {
    for (const topic of ["job", "asset", "storage", "all"]) news.addEventListener(topic, this.#soon);
    fill(this, h("h1", null, t("nav_activity")), h("p", { class: "soft", role: "status" }, t("loading")));
    void this.#look();
  }

  disconnectedCallback() {
    for (const topic of ["job", "asset", "storage", "all"]) news.removeEventListener(topic, this.#soon);
    clearTimeout(this.#timer);
  }

  async #look() {
    clearTimeout(this.#timer);
    try {
      const failed = await this.#failed();
      const flagged = await this.#flagged();
      const ops = isAdmin() ? await Promise.all(["jobs", "agents", "storages", "unmatched-sidecars"].map((path) => get(`/ops/${path}`))) : null;
      if (!this.isConnected) return;
      this.#show(failed, flagged, ops);
      this.#timer = setTimeout(() => void this.#look(), EVERY_MS);
    } catch (error) {
      if (!this.isConnected) return;
      this.#told = "";
      fill(this, h("h1", null, t("nav_activity")), blank(t("error_title"), explain(error), h("button", { click: () => void this.#look() }, t("try_again"))));
      this.#timer = setTimeout(() => void this.#look(), EVERY_MS);
    }
  }

  /** @returns {Promise<Failed[]>} */
  async #failed() {
    const { items } = await get("/assets", { query: { flag: "unprocessable", state: "READY", limit: FAILED_SHOWN } });
    return Promise.all(
      /** @type {Asset[]} */ (items).map(async (asset) => ({ asset, jobs: (await get(`/assets/${asset.uuid}/jobs`)).items })),
    );
  }

  /** How many assets have a flag that a person has to look at, by flag. */
  async #flagged() {
    const counts = await Promise.all(LOOKED_AT.map(async (flag) => (await get("/assets", { query: { flag, limit: FLAGGED_COUNTED } })).items.length));
    return /** @type {Flagged} */ (LOOKED_AT.map((flag, at) => [flag, counts[at]])).filter(([, n]) => n > 0);
  }

  /** @param {Failed[]} failed @param {Flagged} flagged @param {any[] | null} ops */
  #show(failed, flagged, ops) {
    const of = JSON.stringify([failed, flagged, ops]);
    if (of === this.#told || this.contains(document.activeElement?.closest("button, summary") ?? null)) return;
    this.#told = of;
    fill(this, h("h1", null, t("nav_activity")), needs(failed, flagged, ops?.[2].items ?? [], () => void this.#look()), h("p", null, h("a", { href: "/batches" }, t("batches_title"))), ops ? now(ops) : h("p", { class: "soft" }, t("activity_person")));
  }
}

/** @param {Failed[]} failed @param {Flagged} flagged @param {Schemas["StorageHealth"][]} storages @param {() => void} again */
function needs(failed, flagged, storages, again) {
  const offline = storages.filter((storage) => storage.health === "OFFLINE");
  if (!failed.length && !flagged.length && !offline.length) return h("p", { class: "all-well" }, t("activity_well"));
  return h(
    "section",
    { class: "needs", "aria-labelledby": "needs" },
    h("h2", { id: "needs" }, t("activity_needs")),
    offline.map((storage) => h("p", { class: "flag-line" }, h("strong", null, t("storage_offline", { id: storage.storage_id.slice(0, 8) })), " ", plain(storage.health_reason ?? ""), " ", storage.health_since && when(storage.health_since))),
    flagged.map(([flag, n]) => h("p", { class: "flag-line" }, h("a", { href: `/?in=${flag}` }, h("strong", null, t(n < FLAGGED_COUNTED ? "flagged_n" : "flagged_more", { n, flag: say("flag", flag) }))), " ", say("flag_help", flag))),
    causes(failed).map(([cause, list]) => causeOf(cause, list, again)),
  );
}

/** Failures by what they have in common. @param {Failed[]} failed */
function causes(failed) {
  /** @type {Map<string, Failed[]>} */
  const found = new Map();
  for (const one of failed) {
    const failure = one.jobs.find((job) => job.status === "failed")?.failure;
    const cause = failure ? failure.message : t("cause_unknown");
    found.set(cause, [...(found.get(cause) ?? []), one]);
  }
  return [...found];
}

/** @param {string} cause @param {Failed[]} list @param {() => void} again */
function causeOf(cause, list, again) {
  /** @param {string} uuid @param {string} path */
  const act = async (uuid, path) => {
    try {
      await post(`/assets/${uuid}/${path}`);
      /** @type {HTMLElement | null} */ (document.activeElement)?.blur();
      again();
    } catch (error) {
      wrong(error);
    }
  };
  const row = (/** @type {Failed} */ { asset }) =>
    h("li", null, h("a", { href: `/review/${asset.uuid}?in=unprocessable` }, named(asset.name ?? asset.uuid)), h("span", { class: "grow" }),
      h("button", { class: "small", title: t("retry_help"), click: () => void act(asset.uuid, "retry") }, t("retry")),
      h("button", { class: "small", title: t("waive_help"), click: () => void act(asset.uuid, "waive") }, t("waive")),
      h("button", { class: "quiet small", click: () => void whyPanel(asset.uuid) }, t("why"))); // prettier-ignore
  return h("div", { class: "cause" }, h("p", null, h("strong", null, t("failed_n", { n: list.length })), " ", h("span", { lang: "en" }, plain(cause))), h("ul", { class: "lines" }, list.map(row)));
}

/** @param {any[]} ops */
function now([jobs, agents, storages, unmatched]) {
  return [agentsOf(agents.items), jobsOf(jobs), storagesOf(storages.items), unmatchedOf(unmatched.items)].flat();
}

/** @param {Schemas["AgentAtWork"][]} agents */
function agentsOf(agents) {
  const working = (/** @type {Schemas["AgentAtWork"]} */ agent) =>
    agent.jobs.map((job) => h("div", null, say("job", job.job_type), job.progress && [" ", h("progress", { max: job.progress.total || 1, value: job.progress.current, "aria-label": say("job", job.job_type) }), " ", plain(job.progress.text ?? "")]));
  const row = (/** @type {Schemas["AgentAtWork"]} */ agent) =>
    h("tr", null, h("td", null, named(agent.name)), h("td", null, t(agent.alive ? "agent_alive" : "agent_gone"), " ", h("span", { class: "soft" }, when(agent.last_seen_at))), h("td", null, agent.jobs.length ? working(agent) : h("span", { class: "soft" }, t("agent_idle"))));
  return [h("h2", null, t("agents")), agents.length ? table([t("name"), t("seen"), t("doing")], agents.map(row), "agents") : h("p", null, t("no_agents"))];
}

/** @param {Schemas["Workload"]} load */
function jobsOf({ counts, waiting }) {
  const types = [...new Set(counts.map((count) => count.job_type))];
  const statuses = ["pending", "claimed", "completed", "failed"];
  const of = (/** @type {string} */ type, /** @type {string} */ status) => counts.find((one) => one.job_type === type && one.status === status)?.count ?? 0;
  const row = (/** @type {string} */ type) => h("tr", null, h("td", null, say("job", type)), statuses.map((status) => h("td", { class: "number" }, of(type, status).toLocaleString())));
  const wait = (/** @type {Schemas["JobsWaiting"]} */ one) => h("li", null, t("waiting_job", { n: one.count, job: say("job", one.job_type) }), " ", say("reason", one.reason), one.missing_capabilities.length > 0 && `: ${one.missing_capabilities.join(", ")}`);
  return [
    h("h2", null, t("jobs")),
    waiting.length > 0 && h("ul", { class: "waiting" }, waiting.map(wait)),
    types.length ? table([t("job"), ...statuses.map((status) => say("status", status))], types.map(row), "jobs") : h("p", { class: "soft" }, t("no_jobs")),
  ];
}

/** @param {Schemas["StorageHealth"][]} storages */
function storagesOf(storages) {
  const row = (/** @type {Schemas["StorageHealth"]} */ storage) =>
    h("tr", null, h("td", { title: storage.storage_id }, storage.storage_id.slice(0, 8), "…"), h("td", null, say("health", storage.health)), h("td", null, storage.last_scan_at ? when(storage.last_scan_at) : "–"), h("td", { class: "number" }, storage.scans.toLocaleString()));
  return [h("h2", null, t("storages")), table([t("storage"), t("health"), t("last_scan"), t("scans")], storages.map(row), "storages")];
}

/** @param {Schemas["UnmatchedSidecar"][]} unmatched */
function unmatchedOf(unmatched) {
  if (!unmatched.length) return [];
  const row = (/** @type {Schemas["UnmatchedSidecar"]} */ one) => h("tr", null, h("td", null, named(one.path)), h("td", null, say("unmatched", one.reason)));
  return [h("h2", null, t("unmatched_n", { n: unmatched.length })), h("p", null, h("a", { href: "/admin/sidecars" }, t("sidecars_say"))), table([t("file"), t("plan_why")], unmatched.map(row), "unmatched")];
}

customElements.define("r-activity", Activity);
