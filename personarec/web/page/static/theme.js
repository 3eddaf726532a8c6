// Before the page is drawn, so that it does not flash: the theme chosen here, or the system's.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("personarec.theme"); } catch { /* storage is off */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.style.colorScheme = chosen;
})();
