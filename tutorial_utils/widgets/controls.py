"""Two controls that ipywidgets lacks, by anywidget: a place to drop an image, names for sliders.

`Drop` takes a file that is dropped on it, or chosen by click, Enter or Space. `Labels` gives the
sliders of its box the names that screen readers need, and its controls their arrow keys. Both load
nothing from anywhere: their scripts are the strings in this file.

Sources:
    anywidget, by Manz and others: https://anywidget.dev
    what a slider needs: https://www.w3.org/WAI/ARIA/apg/patterns/slider/
"""

import math
from collections.abc import Callable

import anywidget
import traitlets

LIMIT_BYTES = 20_000_000

DROP_SCRIPT = """
const PIECE = 1_000_000;  // bytes
function megabytes(bytes) { return `${(bytes / 1e6).toFixed(1)} MB`; }
function render({ model, el }) {
  const zone = document.createElement("div"), input = document.createElement("input");
  const said = document.createElement("div");
  zone.className = "ab-drop";
  zone.textContent = model.get("prompt");
  zone.tabIndex = 0;
  zone.setAttribute("role", "button");
  zone.dataset.lmSuppressShortcuts = "true";  // Enter is ours and not JupyterLab's
  Object.assign(input, { type: "file", accept: "image/*,.heic,.heif", hidden: true });
  said.className = "ab-said";
  said.setAttribute("role", "status");
  const say = () => { said.textContent = model.get("said"); };
  const tell = text => { model.set("said", text); model.save_changes(); };
  async function take(file) {
    if (!file) return;
    const limit = model.get("limit");
    if (file.size > limit)
      return tell(`${file.name} has ${megabytes(file.size)}; ${megabytes(limit)} at most.`);
    tell(`Reading ${file.name}`);
    const content = await file.arrayBuffer();
    for (let at = 0; at < Math.max(1, content.byteLength); at += PIECE)
      model.send({ name: file.name, size: file.size, at }, undefined,
        [content.slice(at, at + PIECE)]);
  }
  const over = on => event => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.toggle("ab-over", on);
  };
  zone.addEventListener("click", () => input.click());
  zone.addEventListener("keydown", event => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    input.click();
  });
  input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
  zone.addEventListener("dragenter", over(true));
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", event => {
    over(false)(event);
    take(event.dataTransfer.files[0]);
  });
  model.on("change:said", say);
  say();
  el.append(zone, input, said);
  return () => model.off("change:said", say);
}
export default { render };
"""

DROP_LOOK = """
.ab-drop { padding: 1.2em; border: 2px dashed var(--jp-ui-font-color2, #616161);
  border-radius: 6px; text-align: center; cursor: pointer; max-width: 700px; margin: 5px;
  color: var(--jp-ui-font-color1, #212121); background: var(--jp-layout-color1, #fff); }
.ab-drop:focus-visible { outline: 3px solid var(--jp-brand-color1, #1976d2); outline-offset: 2px; }
.ab-drop.ab-over { border-style: solid; border-color: var(--jp-brand-color1, #1976d2);
  background: var(--jp-layout-color2, #eee); }
.ab-said { min-height: 1.4em; margin-top: .4em; color: var(--jp-ui-font-color1, #212121); }
"""

LABELS_SCRIPT = """
function set(element, name, value) {  // writing what is there would wake the observer for ever
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}
function label(root, title) {
  set(root, "role", "group");
  set(root, "aria-label", title);
  // JupyterLab would take the arrow keys for moving from cell to cell.
  for (const place of root.querySelectorAll("select, button, .noUi-handle, .widget-readout"))
    set(place, "data-lm-suppress-shortcuts", "true");
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const name = slider.querySelector(".widget-label")?.textContent.trim() || "Slider";
    const handles = slider.querySelectorAll(".noUi-handle, .ui-slider-handle");
    const readout = slider.querySelector(".widget-readout");
    handles.forEach((handle, k) => set(
      handle, "aria-label", handles.length > 1 ? `${name}, ${k ? "upper" : "lower"} end` : name));
    if (readout) {
      readout.style.minWidth = "6.5em";  // the name of a layer is longer than a number
      set(readout, "role", "textbox");
      set(readout, "aria-label", `${name}, value`);
      if (handles.length == 1) set(handles[0], "aria-valuetext", readout.textContent.trim());
    }
  }
}
function render({ model, el }) {
  el.style.display = "none";
  let root, frame;
  const observer = new MutationObserver(() => label(root, model.get("title")));
  const start = () => {  // at first the element is in no page
    if (!el.isConnected) return void (frame = requestAnimationFrame(start));
    for (root = el; root.parentElement?.closest(".widget-box");)
      root = root.parentElement.closest(".widget-box");
    label(root, model.get("title"));
    const attributeFilter = ["aria-valuetext"];
    observer.observe(
      root, { childList: true, subtree: true, characterData: true, attributeFilter });
  };
  start();
  return () => { cancelAnimationFrame(frame); observer.disconnect(); };
}
export default { render };
"""


class Drop(anywidget.AnyWidget):
    """A place for one image, to drop it on or to choose it by click, Enter or Space.

    The file comes in pieces, by messages and not as a trait: a server may take no message of
    20 MB, and a trait would be saved with the notebook.

    Args:
        take: called as `take(name, content)` with every file that has come whole. What it raises
            is shown under the place.
    """

    _esm, _css = DROP_SCRIPT, DROP_LOOK
    prompt = traitlets.Unicode("Drop an image here, or press Enter to choose one").tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)
    limit = traitlets.Int(LIMIT_BYTES).tag(sync=True)

    def __init__(self, take: Callable[[str, bytes], None], **traits):
        super().__init__(**traits)
        self._take, self._pieces = take, bytearray()
        self.on_msg(self._receive)

    def _receive(self, _: object, message: dict, buffers: list) -> None:
        """Add a piece; hand the file over when it is whole."""
        if message["at"] == 0:
            self._pieces = bytearray()
        if message["at"] != len(self._pieces) or message["size"] > self.limit:
            self.said = f"{message['name']} did not arrive whole. Try again."
            return
        self._pieces += bytes(buffers[0])
        if len(self._pieces) < message["size"]:
            return
        content, self._pieces = bytes(self._pieces), bytearray()
        self.said = f"{message['name']}: {math.ceil(len(content) / 1000):,} kB"
        try:
            self._take(message["name"], content)
        except Exception as error:  # ipywidgets would hide it in the kernel's log
            self.said = f"{message['name']}: {error}"


class Labels(anywidget.AnyWidget):
    """Names the box that it is in, and the box's sliders after their descriptions; takes no room.

    It also keeps JupyterLab from taking the arrow keys that are meant for the box's controls.

    Args:
        title: what the box is called.
    """

    _esm = LABELS_SCRIPT
    title = traitlets.Unicode("").tag(sync=True)
