(() => {
  const form = document.querySelector("form"), input = form.querySelector("#pictures");
  const drop = form.querySelector(".drop"), state = form.querySelector("#state");
  const button = form.querySelector("button");
  form.querySelector("#or-drop").hidden = false;

  const check = () => {
    const files = [...input.files];
    const megabytes = files.reduce((sum, file) => sum + file.size, 0) / 1e6;
    const tooMany = files.length > form.dataset.files;
    const tooLarge = megabytes > form.dataset.megabytes;
    state.textContent = tooMany ? `${files.length} files; --max-files ${form.dataset.files} allows no more.`
      : tooLarge ? `${megabytes.toFixed(1)} MB; --max-mb ${form.dataset.megabytes} allows no more.`
      : files.length ? `${files.length} chosen: ${files.map((file) => file.name).join(", ")}` : "";
    button.disabled = tooMany || tooLarge;
  };
  input.addEventListener("change", check);

  // A picture that misses the field would otherwise replace the page.
  ["dragover", "drop"].forEach((kind) => addEventListener(kind, (event) => event.preventDefault()));
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    check();
  });

  form.addEventListener("submit", () => {
    state.textContent = "Inspecting…";
    button.disabled = true;
  });
  addEventListener("pageshow", check);
})();
