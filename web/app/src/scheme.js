// Runs before the first paint, so that a dark page never flashes light. Kept out of the HTML for the CSP.
(() => {
  const root = document.documentElement;
  let choice = "auto";
  try {
    choice = JSON.parse(document.getElementById("boot").textContent).brand.scheme;
  } catch {}
  try {
    choice = localStorage.getItem("mantine-color-scheme-value") || choice;
  } catch {}
  const dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.mantineColorScheme = root.dataset.tgScheme = dark ? "dark" : "light";
})();
