// Runs before the first paint, so that a chosen theme never flashes. Without a choice the browser's preference rules.
{
  const choice = localStorage.getItem("theme");
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
  document.documentElement.classList.add("js");
  if (localStorage.getItem("contrast") === "high") document.documentElement.dataset.contrast = "high";
}
