"""A place to drop a picture, or to choose one by a click, Enter or Space.

The file comes in pieces, by messages and not as a trait: a server may take no message of 20 MB,
and a trait would be saved with the notebook.
"""

from collections.abc import Callable

import anywidget
import traitlets

LIMIT_BYTES = 20_000_000

ESM = """
const PIECE = 1_000_000;  // bytes
function megabytes(bytes) { return `${(bytes / 1e6).toFixed(1)} MB`; }
function render({ model, el }) {
  const zone = document.createElement("div"), input = document.createElement("input");
  const said = document.createElement("div");
  zone.className = "ab-drop";
  zone.textContent = model.get("prompt");
  zone.tabIndex = 0;
  zone.setAttribute("role", "button");
  Object.assign(input, { type: "file", accept: "image/*", hidden: true });
  said.className = "ab-said";
  said.setAttribute("role", "status");
  const say = () => { said.textContent = model.get("said"); };
  const tell = text => { model.set("said", text); model.save_changes(); };
  async function take(file) {
    if (!file) return;
    const limit = model.get("limit");
    if (!file.type.startsWith("image/")) return tell(`${file.name} is not a picture.`);
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

CSS = """
.ab-drop { margin: .4em; padding: 1.5em; border: 2px dashed var(--jp-ui-font-color2, #616161);
  border-radius: 6px; text-align: center; cursor: pointer;
  color: var(--jp-ui-font-color1, #212121); background: var(--jp-layout-color1, #fff); }
.ab-drop:focus-visible { outline: 3px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
.ab-drop.ab-over { border-style: solid; border-color: var(--jp-brand-color1, #1976d2);
  background: var(--jp-layout-color2, #eee); }
.ab-said { min-height: 1.4em; margin: .4em; color: var(--jp-ui-font-color1, #212121); }
"""


class Drop(anywidget.AnyWidget):
    """A drop zone; `take(name, content)` is called with every picture that comes whole."""

    _esm, _css = ESM, CSS
    prompt = traitlets.Unicode("Drop a picture here, or press Enter to choose one").tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)
    limit = traitlets.Int(LIMIT_BYTES).tag(sync=True)

    def __init__(self, take: Callable[[str, bytes], None], **traits):
        super().__init__(**traits)
        self._take, self._pieces = take, bytearray()
        self.on_msg(self._receive)

    def _receive(self, _, message: dict, buffers: list) -> None:
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
        try:
            self._take(message["name"], content)
            self.said = f"{message['name']}: {len(content) / 1e6:.1f} MB"
        except Exception as error:  # ipywidgets would hide it in the kernel's log
            self.said = f"{message['name']}: {error}"
