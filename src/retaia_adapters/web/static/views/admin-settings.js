// The settings as they are in force, and where each comes from.

import { get } from "../lib/api.js";
import { fill, h, plain } from "../lib/dom.js";
import { say, t } from "../lib/words.js";
import { AdminPage } from "./admin.js";
import { table } from "./plan.js";

/** @typedef {import("../api.js").Schemas["SettingInForce"]} Setting */
/** @typedef {import("../lib/words.js").Word} Word */

class SettingsPage extends AdminPage {
  /** @override @type {Word} */
  heading = "settings";

  /** @override */
  async read() {
    return (await get("/ops/settings")).items;
  }

  /** @override @param {Setting[]} settings */
  draw(settings) {
    const shown = h("div");
    const changed = h("input", { type: "checkbox", change: () => show() });
    const show = () => fill(shown, rows(changed.checked ? settings.filter((one) => one.source !== "DEFAULT") : settings));
    show();
    return [h("p", { class: "soft" }, t("settings_help_page")), h("p", null, h("label", { class: "check" }, changed, t("settings_changed"))), shown];
  }
}

/** @param {Setting[]} settings */
function rows(settings) {
  if (!settings.length) return [h("p", { role: "status" }, t("settings_none"))];
  return [table([t("setting"), t("setting_value"), t("setting_source")], settings.map(row), "settings")];
}

/** @param {Setting} setting */
function row({ section, key, value, given, source, name }) {
  const kept = h("span", { class: "soft" }, t(given ? "setting_kept_back" : "setting_not_set"));
  const shown = value === undefined || (!given && (value === "" || value === "[]")) ? kept : h("code", null, plain(value));
  return h("tr", { class: source === "DEFAULT" ? "" : "changed" },
    h("th", { scope: "row" }, h("code", null, `${section}.${key}`)),
    h("td", null, shown),
    h("td", null, say("setting", source), name && [" ", h("code", null, plain(name))])); // prettier-ignore
}

customElements.define("r-admin-settings", SettingsPage);
