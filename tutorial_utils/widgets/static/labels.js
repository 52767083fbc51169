// Accessible names for the sliders of the box around this element, see controls.Labels.

function set(element, name, value) {  // only changes: writing would wake the observer again
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function nameSlider(slider) {
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

function label(root, title) {
  set(root, "role", "group");
  set(root, "aria-label", title);
  // JupyterLab would take the arrow keys to move from cell to cell.
  for (const control of root.querySelectorAll("select, button, .noUi-handle, .widget-readout"))
    set(control, "data-lm-suppress-shortcuts", "true");
  root.querySelectorAll(".widget-slider").forEach(nameSlider);
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
