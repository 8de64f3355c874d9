// On paper: the light colours, everything unfolded, and plots of the paper's width.
const unfolded = [];

addEventListener("beforeprint", () => {
  document.documentElement.classList.add("printing");
  for (const part of document.querySelectorAll("details:not([open])")) {
    part.open = true;
    unfolded.push(part);
  }
  drawAll();
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("printing");
  for (const part of unfolded.splice(0)) part.open = false;
  drawAll();
  hidden.forEach((names, plot) => Plotly.Plots.resize(plot));
});
