// The command that makes the same file as the page.

const safe = (text) => (text.startsWith("-") ? `./${text}` : text); // a name, not an option
const quoted = (text) => (/^[\w./,=:+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

export function command(image, settings, about) {
  const parts = ["edge-scs enhance", quoted(safe(image.name)), "-o", quoted(safe(resultName(image.name, settings.format)))];
  parts.push("--scale", settings.scale);
  if (settings.restoration !== null) parts.push("--restoration", settings.restoration);
  if (settings.vividness !== 1) parts.push("--vividness", settings.vividness);
  if (settings.keep_colour) parts.push("--keep-colour");
  if (settings.reference !== null) parts.push("--reference", quoted(safe(image.referenceName)));
  for (const { x, y, colour } of settings.hints) parts.push("--hint", quoted(`${x},${y}=${colour}`));
  if (about.model !== "edge_scs_m") parts.push("--model", quoted(about.model));
  return parts.join(" ");
}

const SUFFIXES = { png: ".png", tiff: ".tif", jpeg: ".jpg", webp: ".webp" };
const SAME = { ".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif" };

/** As the server names it: "old.jpg" -> "old-restored.jpg". */
export function resultName(name, format) {
  const [, stem, suffix] = /^(.+?)(\.[^.]*)?$/.exec(name) || [null, name, ""];
  const own = (suffix || "").toLowerCase();
  const known = Object.values(SUFFIXES).includes(SAME[own] || own);
  const wanted = SUFFIXES[format] || (known ? suffix : ".png");
  const kept = known && (SAME[own] || own) === wanted.toLowerCase() ? suffix : wanted;
  const whole = known || own === ".bmp" || own === ".gif" ? stem : name;
  return `${whole}-restored${kept}`;
}
