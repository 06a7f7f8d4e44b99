"use strict";
for (const film of document.querySelectorAll(".film")) {
  const frames = JSON.parse(film.querySelector("script").textContent);
  const [picture, button, slider] = ["img", "button", "input"].map((name) => film.querySelector(name));
  let timer = 0;
  const show = (index) => { slider.value = index; picture.src = frames[index]; };
  const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => {
    if (timer) { stop(); return; }
    button.textContent = "Stop";
    timer = setInterval(() => show((Number(slider.value) + 1) % frames.length), 250);
  });
}
