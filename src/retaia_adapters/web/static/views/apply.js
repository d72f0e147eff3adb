// What was decided becomes moves: read the plan first, confirm it, watch it being done.

import { freshKey, post, Refusal } from "../lib/api.js";
import { decisions } from "../lib/decisions.js";
import { confirmed } from "../lib/dialogs.js";
import { fill, h, named } from "../lib/dom.js";
import { bytes } from "../lib/format.js";
import { go } from "../lib/router.js";
import { announce, blank, explain, wrong } from "../lib/tell.js";
import { t } from "../lib/words.js";
import { planOf, summaryOf } from "./plan.js";

/** @typedef {import("../api.js").Schemas} Schemas */
/** @typedef {"BOTH" | "KEEP" | "REJECT"} Include */

const CHOICES = /** @type {Include[]} */ (["BOTH", "KEEP", "REJECT"]);

class Apply extends HTMLElement {
  /** @type {Include} */
  #include = "BOTH";
  #asked = 0;

  connectedCallback() {
    void this.#look();
  }

  async #look() {
    const turn = ++this.#asked;
    fill(this, this.#head(), h("p", { class: "soft", role: "status" }, decisions.waiting ? t("apply_waits") : t("apply_looking")));
    await this.#settled();
    try {
      const plan = await post("/batches/moves/preview", { body: { include: this.#include } });
      if (turn === this.#asked && this.isConnected) this.#show(plan);
    } catch (error) {
      if (turn !== this.#asked) return;
      fill(this, this.#head(), blank(t("error_title"), explain(error), h("button", { click: () => void this.#look() }, t("try_again"))));
    }
  }

  /** What the person decided a moment ago belongs into the plan. */
  #settled() {
    if (!decisions.waiting) return Promise.resolve();
    return new Promise((go) => {
      const heard = () => {
        if (decisions.waiting) return;
        decisions.removeEventListener("waiting", heard);
        go(undefined);
      };
      decisions.addEventListener("waiting", heard);
    });
  }

  #head() {
    const choice = (/** @type {Include} */ include) =>
      h("label", null, h("input", { type: "radio", name: "include", value: include, checked: include === this.#include, change: () => ((this.#include = include), void this.#look()) }), t(`include_${include}`));
    return [h("h1", null, t("apply_title")), h("fieldset", { class: "views" }, h("legend", { class: "aloud" }, t("include")), CHOICES.map(choice)), h("p", null, h("a", { href: "/batches" }, t("batches_title")))];
  }

  /** @param {Schemas["MovePreview"]} plan */
  #show(plan) {
    const { summary } = plan;
    if (!summary.assets && !summary.blocked) {
      fill(this, this.#head(), blank(t("apply_nothing"), t("apply_nothing_help"), h("a", { class: "button", href: "/review" }, t("nav_review"))));
      return announce(t("apply_nothing"));
    }
    const button = h("button", { class: "main", disabled: !summary.assets, click: () => void this.#confirm(plan) }, t("apply_do", { n: summary.assets }));
    fill(this, this.#head(), summaryOf(plan), h("div", { class: "acts" }, button, h("button", { class: "quiet", click: () => void this.#look() }, t("look_again"))), planOf(plan));
    announce(t("plan_sum", { n: summary.assets }));
  }

  /** @param {Schemas["MovePreview"]} plan */
  async #confirm(plan) {
    const { files, keep, reject, size_bytes } = plan.summary;
    const folders = [...new Set(plan.eligible.flatMap((move) => move.files.map((file) => file.to.split("/")[0] ?? "")))];
    const sure = await confirmed(
      { title: t("confirm_title", { n: files }), yes: t("confirm_yes", { n: files }) },
      h("p", null, t("confirm_text", { keep, reject, size: bytes(size_bytes) })),
      h("p", null, t("confirm_into"), " ", folders.map((folder, at) => [at ? ", " : "", named(folder, { class: "name" })]).flat()),
      h("p", { class: "soft" }, t("confirm_undo")),
    );
    if (!sure) return;
    try {
      const selection = { include: this.#include, digest: plan.digest };
      const batch = await post("/batches/moves", { body: { selection, mode: "EXECUTE" }, key: freshKey() });
      go(`/batches/${batch.batch_id}`);
    } catch (error) {
      wrong(error);
      if (error instanceof Refusal && error.code === "STATE_CONFLICT") void this.#look();
    }
  }
}

customElements.define("r-apply", Apply);
