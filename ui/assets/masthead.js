// The switch between light and dark. Gradio follows the system by a class on <body>; a person's own choice is kept.
const KEPT_THEME = "vitascope-theme";

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A browser that stores nothing still switches, for this visit.
  }
}

function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

const wish = kept(KEPT_THEME);
if (wish) document.body.classList.toggle("dark", wish === "dark");
element.querySelector(".vs-theme").addEventListener("click", () => {
  const isDark = document.body.classList.toggle("dark");
  keep(KEPT_THEME, isDark ? "dark" : "light");
});
