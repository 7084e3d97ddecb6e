// URI templates (RFC 6570, without modifiers): their variables, and the URI that values make of them.

const PLACE = /\{([+#./;?&]?)([^{}]+)\}/g;
const RULES = {
  "": ["", ",", false], "+": ["", ",", false], "#": ["#", ",", false], ".": [".", ".", false],
  "/": ["/", "/", false], ";": [";", ";", true], "?": ["?", "&", true], "&": ["&", "&", true],
};

const namesIn = (text) => text.split(",").map((name) => name.replace(/[*]$|:\d+$/, ""));

export function variablesOf(template) {
  return [...new Set([...template.matchAll(PLACE)].flatMap(([, , names]) => namesIn(names)))];
}

export function expanded(template, values) {
  return template.replaceAll(PLACE, (_, operator, names) => {
    const [first, between, isNamed] = RULES[operator];
    const encode = operator === "+" || operator === "#" ? encodeURI : encodeURIComponent;
    const given = namesIn(names).filter((name) => values[name] !== undefined && values[name] !== "");
    const parts = given.map((name) => (isNamed ? `${name}=${encode(values[name])}` : encode(values[name])));
    return parts.length ? first + parts.join(between) : "";
  });
}
