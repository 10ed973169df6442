// A service has the same colour everywhere: one of the style sheet's, chosen by its name.

const COLOURS = 12;

/** The class that colours a service. */
export function colourOf(service) {
  let hash = 2166136261;
  for (const character of service ?? "") hash = Math.imul(hash ^ character.codePointAt(0), 16777619) >>> 0;
  return `hue-${((hash ^ (hash >>> 15)) >>> 0) % COLOURS}`;
}
