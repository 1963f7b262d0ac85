/** Elements, and texts that are never read as markup. */

/** The element that the page has under an id. */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no element ${id}.`);
  return found;
}

/** A new element. Children that are strings become text; an attribute that is null is left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== null) made.setAttribute(attribute, value);
  }
  made.append(...children);
  return made;
}

/** Let an element read so. What reads so already is left alone: a screen reader would say it again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A message that stays until the next one, or no message. */
export function show(node, text) {
  say(node, text);
  node.hidden = text === "";
}

/** Let an attribute be there, or not. */
export function mark(node, attribute, value) {
  if (value === null) node.removeAttribute(attribute);
  else if (node.getAttribute(attribute) !== value) node.setAttribute(attribute, value);
}
