// Runs before the first paint, so that a chosen theme never flashes. A page brings its person's choice; where nobody is
// signed in yet, the last one of this browser holds.
{
  const { classList, dataset } = document.documentElement;
  classList.add("js");
  if (dataset.theme) localStorage.setItem("theme", dataset.theme);
  else dataset.theme = localStorage.getItem("theme") ?? "";
}
