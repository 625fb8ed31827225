// Draws: what a page should be is described anew with every look, and only what differs is changed, so that focus,
// selection and half-written fields stay as they are.

const SVG = "http://www.w3.org/2000/svg";

/** Describes an element. `on…` are listeners, `key` tells siblings apart, `initial` is a field's first value. */
export function h(tag, props, ...children) {
  return { tag, props: props ?? {}, children: flat(children) };
}

/** Makes the children of `parent` those that are described. */
export function patch(parent, ...wanted) {
  let node = parent.firstChild;
  for (const child of flat(wanted)) {
    const found = matching(node, child);
    if (found === null) {
      parent.insertBefore(made(child, parent), node);
      continue;
    }
    if (found !== node) parent.insertBefore(found, node);
    update(found, child);
    node = found.nextSibling;
  }
  while (node) {
    const next = node.nextSibling;
    node.remove();
    node = next;
  }
}

function flat(children) {
  const there = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return there.map((child) => (typeof child === "object" ? child : String(child)));
}

function matching(node, child) {
  if (node === null) return null;
  if (typeof child === "string") return node.nodeType === Node.TEXT_NODE ? node : null;
  const fits = (one) => one.described?.tag === child.tag && one.described.props.key === child.props.key;
  if (child.props.key === undefined) return fits(node) ? node : null;
  for (let one = node; one; one = one.nextSibling) if (fits(one)) return one;
  return null;
}

function made(child, parent) {
  if (typeof child === "string") return document.createTextNode(child);
  const isSvg = child.tag === "svg" || parent.namespaceURI === SVG;
  const node = isSvg ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
  update(node, child);
  const { initial } = child.props;
  if (initial !== undefined) {
    if (typeof initial === "boolean") node.checked = initial;
    else node.value = initial;
  }
  return node;
}

function update(node, child) {
  if (typeof child === "string") {
    if (node.data !== child) node.data = child;
    return;
  }
  const before = node.described?.props ?? {};
  node.described = child;
  for (const name of Object.keys(before)) if (!(name in child.props)) set(node, name, null);
  for (const [name, value] of Object.entries(child.props)) if (before[name] !== value) set(node, name, value);
  patch(node, child.children);
}

function set(node, name, value) {
  if (name === "key" || name === "initial") return;
  if (name.startsWith("on")) node[name] = value;
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : value);
}
