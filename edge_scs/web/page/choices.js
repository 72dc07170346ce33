// What is chosen for a photograph, and how it goes to the server.

/** As the server takes it: a hint without a colour is none yet. */
export function settingsOf(image) {
  const hints = image.choices.keep_colour ? [] : image.hints.filter((hint) => hint.colour);
  return { ...image.choices, hints: hints.map(({ x, y, colour }) => ({ x, y, colour })) };
}

export const body = (image) => JSON.stringify(settingsOf(image));

/** Whether its finished file was made with other settings than those of now. */
export const isStale = (image) => image.job?.state === "done" && JSON.stringify(image.job.settings) !== body(image);

/** What a network begins with. */
export const fresh = (about) => ({
  scale: about.scale, vividness: 1, restoration: about.restoration, keep_colour: false, reference: null, format: null,
});

/** The hints in a file of `edge-scs enhance --hints`, for an image of this size. */
export async function readHints(file, { width, height }) {
  let rows;
  try {
    rows = JSON.parse(await file.text());
  } catch {
    throw new Error(`${file.name}: not valid JSON`);
  }
  const good = (row) => row && row.x >= 0 && row.x < width && row.y >= 0 && row.y < height && typeof row.colour === "string";
  if (!Array.isArray(rows) || !rows.every(good)) {
    throw new Error(`${file.name}: must be a list of {"x": 120, "y": 80, "colour": "#8a1c22"}, all inside the image`);
  }
  return rows.map(({ x, y, colour }) => ({ x, y, colour }));
}

/** Give the user a file of hints. */
export function saveHints(image) {
  const text = `${JSON.stringify(settingsOf(image).hints, null, 2)}\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `${image.name}.hints.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
