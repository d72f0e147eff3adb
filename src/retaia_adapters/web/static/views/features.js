// Features: what is on, which gate closed what is off, and the switches of everybody or of oneself.

import { get, patch } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { news } from "../lib/events.js";
import { announce, blank, explain, wrong } from "../lib/tell.js";
import { say, t } from "../lib/words.js";
import { table } from "./plan.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {Schemas["FeatureGovernanceRule"]} Rule */
/** @typedef {Schemas["FeatureGates"]["items"][number]} Gate */
/** @typedef {{path: string, key: "app_feature_enabled" | "user_feature_enabled", fixed: (rule: Rule) => boolean}} Whose */

const HEARD = ["policy", "all"];
const GATES = /** @type {const} */ ({
  server: "gate_server", app: "gate_app", user: "gate_user", dependency: "gate_dependency", escalation: "gate_escalation",
}); // prettier-ignore

/** @param {string} key */
const featureName = (key) => say("feature", key.replace("features.", ""));

class Features extends HTMLElement {
  /** @type {Whose} */
  whose = { path: "/app/features", key: "app_feature_enabled", fixed: (rule) => rule.tier === "CORE_V1_GLOBAL" };
  #heard = () => void this.#look();

  connectedCallback() {
    for (const topic of HEARD) news.addEventListener(topic, this.#heard);
    fill(this, h("p", { class: "soft", role: "status" }, t("loading")));
    void this.#look();
  }

  disconnectedCallback() {
    for (const topic of HEARD) news.removeEventListener(topic, this.#heard);
  }

  async #look() {
    try {
      const [switches, why] = await Promise.all([get(this.whose.path), get("/auth/me/features/why")]);
      if (this.isConnected) this.#show(switches, why.items);
    } catch (error) {
      fill(this, blank(t("error_title"), explain(error), h("button", { click: this.#heard }, t("try_again"))));
    }
  }

  /** @param {any} switches @param {Gate[]} why */
  #show(switches, why) {
    const at = document.activeElement?.getAttribute("data-feature");
    const on = switches[this.whose.key];
    const row = (/** @type {Rule} */ rule) =>
      h("tr", null,
        h("th", { scope: "row" }, featureName(rule.key), h("div", { class: "soft" }, rules(rule))),
        h("td", null, this.#switch(rule, on[rule.key])),
        h("td", null, effect(why.find((one) => one.key === rule.key)))); // prettier-ignore
    const optional = switches.feature_governance.filter((/** @type {Rule} */ rule) => rule.tier !== "CORE_V1_GLOBAL");
    const core = switches.core_v1_global_features;
    fill(
      this,
      table([t("feature"), t("feature_switch"), t("feature_now")], optional.map(row), "features"),
      h("p", { class: "soft" }, t("features_core"), " ", core.map(featureName).join(", "), "."),
    );
    if (at) /** @type {HTMLElement | null} */ (this.querySelector(`[data-feature="${CSS.escape(at)}"]`))?.focus();
  }

  /** @param {Rule} rule @param {boolean} on */
  #switch(rule, on) {
    const box = h("input", {
      type: "checkbox", role: "switch", checked: on, disabled: this.whose.fixed(rule), "data-feature": rule.key,
      "aria-label": featureName(rule.key), change: () => void this.#turn(rule.key, box),
    }); // prettier-ignore
    return box;
  }

  /** Only this switch is sent: what others switched meanwhile stays. @param {string} key @param {HTMLInputElement} box */
  async #turn(key, box) {
    const on = box.checked;
    try {
      await patch(this.whose.path, { body: { [this.whose.key]: { [key]: on } } });
      announce(`${featureName(key)}: ${t(on ? "feature_on" : "feature_off")}`);
    } catch (error) {
      box.checked = !on;
      wrong(error);
    }
    await this.#look();
  }
}

class MyFeatures extends Features {
  /** @override @type {Whose} */
  whose = { path: "/auth/me/features", key: "user_feature_enabled", fixed: (rule) => !rule.user_can_disable };
}

/** @param {Rule} rule */
function rules({ dependencies, disable_escalation, user_can_disable }) {
  const names = (/** @type {string[]} */ keys) => keys.map(featureName).join(", ");
  return [
    dependencies.length > 0 && t("feature_needs", { names: names(dependencies) }),
    disable_escalation.length > 0 && t("feature_takes", { names: names(disable_escalation) }),
    !user_can_disable && t("feature_fixed"),
  ].filter(Boolean).join(" "); // prettier-ignore
}

/** @param {Gate | undefined} gate */
function effect(gate) {
  if (!gate) return "–";
  if (gate.enabled) return t("feature_on");
  const why = gate.gate ? t(GATES[gate.gate], { name: featureName(gate.gate_key ?? "") }) : "";
  return [h("strong", null, t("feature_off")), " ", why];
}

customElements.define("r-features", Features);
customElements.define("r-my-features", MyFeatures);
