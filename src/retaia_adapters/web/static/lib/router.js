// Addresses: each view has one, with its filters in it, so that it can be kept and sent.

/** Dispatches `go` when the address changed. */
export const router = new EventTarget();

/** @param {string} path @param {{replace?: boolean, quiet?: boolean}} [how] */
export function go(path, { replace = false, quiet = false } = {}) {
  if (replace) history.replaceState(history.state, "", path);
  else history.pushState({ back: true }, "", path);
  if (!quiet) router.dispatchEvent(new Event("go"));
}

/** Where this page came from, if that was a page of ours. @param {string} otherwise */
export function back(otherwise) {
  if (history.state?.back) history.back();
  else go(otherwise, { replace: true });
}

export function listenToAddresses() {
  addEventListener("popstate", () => router.dispatchEvent(new Event("go")));
  document.addEventListener("click", (event) => {
    const link = /** @type {Element} */ (event.target).closest?.("a[href^='/']");
    if (!(link instanceof HTMLAnchorElement) || link.target || event.defaultPrevented) return;
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.pathname.startsWith("/api/")) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
