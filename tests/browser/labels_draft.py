"""Names for sliders: ipywidgets gives their handles and readouts none that a screen reader says.

Put one `Labels()` anywhere in a box of widgets: it names every slider of the whole box, and those
that come later. It takes no room.
"""

import anywidget

ESM = """
function set(element, name, value) {  // writing what is there would wake the observer for ever
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}
function label(root) {
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const name = slider.querySelector(".widget-label")?.textContent.trim() || "Slider";
    const handles = slider.querySelectorAll(".noUi-handle");
    const readout = slider.querySelector(".widget-readout");
    handles.forEach((handle, k) => set(
      handle, "aria-label", handles.length > 1 ? `${name}, ${k ? "upper" : "lower"} end` : name));
    if (readout) {
      set(readout, "role", "textbox");
      set(readout, "aria-label", `${name}, value`);
      if (handles.length == 1) set(handles[0], "aria-valuetext", readout.textContent.trim());
    }
  }
}
function render({ el }) {
  el.style.display = "none";
  const observer = new MutationObserver(() => label(root));
  let root, frame;
  const start = () => {  // at first the element is in no page
    if (!el.isConnected) return void (frame = requestAnimationFrame(start));
    for (root = el; root.parentElement?.closest(".widget-box");)
      root = root.parentElement.closest(".widget-box");
    label(root);
    const attributeFilter = ["aria-valuetext"];
    observer.observe(
      root, { childList: true, subtree: true, characterData: true, attributeFilter });
  };
  start();
  return () => { cancelAnimationFrame(frame); observer.disconnect(); };
}
export default { render };
"""


class Labels(anywidget.AnyWidget):
    """Names the sliders of the box that it is in, after their descriptions."""

    _esm = ESM
