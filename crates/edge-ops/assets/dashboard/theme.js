// Puts the chosen colours on before anything is drawn, so that nothing flashes.
"use strict";
try {
  const chosen = localStorage.getItem("mmsgw-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's colours stay.
}
