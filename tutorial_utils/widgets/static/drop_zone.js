// A zone that takes one image file and sends it to the kernel in pieces, see controls.DropZone.

const PIECE_BYTES = 1_000_000;

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function render({ model, el }) {
  const zone = document.createElement("div");
  const input = document.createElement("input");
  const status = document.createElement("div");
  zone.className = "ab-drop-zone";
  zone.textContent = model.get("prompt");
  zone.tabIndex = 0;
  zone.setAttribute("role", "button");
  zone.dataset.lmSuppressShortcuts = "true";  // JupyterLab would take Enter
  Object.assign(input, { type: "file", accept: "image/*,.heic,.heif", hidden: true });
  status.className = "ab-status";
  status.setAttribute("role", "status");

  const showStatus = () => { status.textContent = model.get("status"); };
  const setStatus = text => { model.set("status", text); model.save_changes(); };

  async function send(file) {
    if (!file) return;
    const limit = model.get("limit_bytes");
    if (file.size > limit)
      return setStatus(`${file.name} has ${megabytes(file.size)}; ${megabytes(limit)} at most.`);
    setStatus(`Reading ${file.name}`);
    const content = await file.arrayBuffer();
    for (let offset = 0; offset < Math.max(1, content.byteLength); offset += PIECE_BYTES) {
      const message = { name: file.name, size_bytes: file.size, offset };
      model.send(message, undefined, [content.slice(offset, offset + PIECE_BYTES)]);
    }
  }

  const highlight = on => event => {
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
  input.addEventListener("change", () => { send(input.files[0]); input.value = ""; });
  zone.addEventListener("dragenter", highlight(true));
  zone.addEventListener("dragover", highlight(true));
  zone.addEventListener("dragleave", highlight(false));
  zone.addEventListener("drop", event => {
    highlight(false)(event);
    send(event.dataTransfer.files[0]);
  });

  model.on("change:status", showStatus);
  showStatus();
  el.append(zone, input, status);
  return () => model.off("change:status", showStatus);
}

export default { render };
