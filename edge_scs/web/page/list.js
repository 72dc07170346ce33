// The hints of a photograph as a list, beside the points on it.

import { words } from "./colours.js";

const $ = (id) => document.getElementById(id);

/** on.pick(hint), on.drop(hint): what the user does. */
export function showList(hints, on) {
  $("no-hints").hidden = hints.length > 0;
  $("save").hidden = $("clear").hidden = !hints.some((hint) => hint.colour);
  $("list").replaceChildren(...hints.map((hint) => {
    const [row, button, dot, remove] = ["li", "button", "i", "button"].map((tag) => document.createElement(tag));
    button.type = remove.type = "button";
    button.className = "quiet edit";
    dot.style.background = hint.colour === "neutral" ? "#8a8a8a" : hint.colour || "transparent";
    button.append(dot, `${hint.colour ? words(hint.colour) : "no colour yet"} at ${hint.x}, ${hint.y}`);
    button.addEventListener("click", () => on.pick(hint));
    remove.className = "quiet";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `Remove the hint at ${hint.x}, ${hint.y}`);
    remove.addEventListener("click", () => on.drop(hint));
    row.append(button, remove);
    return row;
  }));
}
