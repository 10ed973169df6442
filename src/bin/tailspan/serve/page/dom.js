// Elements from names, attributes and children. Text is always text: nothing here reads HTML, so nothing a span says
// can become part of the page.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of the page: `h("a", { href: "#/health" }, "Health")`. A function is a listener of that event. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Puts these in place of whatever the element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  return fill(element, null, children);
}

/** A table with a caption, for those who see it and those who hear it. Headers are elements or texts; rows are rows. */
export function table(caption, headers, rows, attributes) {
  const head = headers.map((header) => (header instanceof Node ? header : h("th", { scope: "col" }, header)));
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    h("table", attributes, h("caption", null, caption), h("thead", null, h("tr", null, head)), h("tbody", null, rows)),
  );
}

/** Tells those who hear the page what changed. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** A button that puts a text into the clipboard. */
export function copyButton(text, what) {
  const copy = async ({ currentTarget: button }) => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      say(`${what} copied`);
    } catch {
      // Without HTTPS a browser may refuse: then it can at least be marked and copied by hand.
      window.prompt(`Copy ${what}:`, text);
    }
  };
  return h("button", { type: "button", class: "small", click: copy, "aria-label": `Copy ${what}` }, "Copy");
}
