// JSON, value by value, with the rules of the server's reader (src/decode/json.rs): Zipkin's, which take a little more than
// JSON. The browser's own parser knows the last of two fields with one name only, and rounds numbers before they are checked.

/** @typedef {"object" | "list" | "string" | "boolean" | "null" | "number"} Kind */

/** What may follow a word or a number. */
const END = /[{}[\]:, \t\f\r\n]|$/y;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/** Characters of a number. Zipkin's parser has a buffer of that size. */
const NUMBER_CHARACTERS = 1024;

/** @type {Readonly<Record<string, string>>} */
const ESCAPES = { t: "\t", b: "\b", n: "\n", r: "\r", f: "\f", "\n": "\n", "'": "'", '"': '"', "\\": "\\", "/": "/" };

/** A text that is read once, from its beginning. What is malformed throws an error that says where. */
export class JsonReader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /**
   * What comes next, which stays.
   * @returns {Kind}
   */
  next() {
    const first = this.significant();
    this.at -= 1;
    switch (first) {
      case "{":
        return "object";
      case "[":
        return "list";
      case '"':
        return "string";
      case "t":
      case "T":
      case "f":
      case "F":
        return "boolean";
      case "n":
      case "N":
        return "null";
      default:
        return "number";
    }
  }

  /**
   * Takes a list.
   * @param {(index: number) => void} each takes one element
   */
  elements(each) {
    this.expect("[");
    for (let index = 0; ; index++) {
      const byte = this.significant();
      if (byte === "]") {
        return;
      }
      if (index === 0) {
        this.at -= 1;
      } else if (byte !== ",") {
        this.fail();
      }
      each(index);
    }
  }

  /**
   * Takes an object.
   * @param {(name: string) => void} each takes a field's value
   */
  fields(each) {
    this.expect("{");
    for (let index = 0; ; index++) {
      const byte = this.significant();
      if (byte === "}") {
        return;
      }
      if (index === 0) {
        this.at -= 1;
      } else if (byte !== ",") {
        this.fail();
      }
      each(this.name());
    }
  }

  /**
   * Takes a string; numbers count as their text.
   * @returns {string | null} null if it is neither, which is taken as well
   */
  string() {
    switch (this.next()) {
      case "string":
        this.at += 1;
        return this.restOfString();
      case "number":
        return this.number();
      default:
        this.skip();
        return null;
    }
  }

  /**
   * Takes `true` or `false`.
   * @returns {boolean | null} null if it is neither, which is taken as well
   */
  boolean() {
    if (this.next() !== "boolean") {
      this.skip();
      return null;
    }
    return this.word("true", "false") === "true";
  }

  /** Takes a value of any kind and depth. */
  skip() {
    /** @type {Kind[]} lists and objects that are open within it, too many for the stack if need be */
    const open = [];
    do {
      const kind = this.next();
      let opened = false;
      if (kind === "object" || kind === "list") {
        this.at += 1;
        open.push(kind);
        opened = true;
      } else {
        this.skipSimple(kind);
      }
      this.betweenValues(open, opened);
    } while (open.length > 0);
  }

  /**
   * Takes what lies between two values, or the ends of all that is open.
   * @param {Kind[]} open
   * @param {boolean} opened whether the innermost has had no value yet
   */
  betweenValues(open, opened) {
    while (open.length > 0) {
      const inObject = open.at(-1) === "object";
      const byte = this.significant();
      if (byte === (inObject ? "}" : "]")) {
        open.pop();
        opened = false;
        continue;
      }
      if (opened) {
        this.at -= 1;
      } else if (byte !== ",") {
        this.fail();
      }
      if (inObject) {
        this.name();
      }
      return;
    }
  }

  /** @param {Kind} kind */
  skipSimple(kind) {
    if (kind === "string") {
      this.at += 1;
      this.restOfString();
    } else if (kind === "boolean") {
      this.word("true", "false");
    } else if (kind === "null") {
      this.word("null");
    } else {
      this.number();
    }
  }

  /** Takes a field's name and the colon. */
  name() {
    this.expect('"');
    const name = this.restOfString();
    this.expect(":");
    return name;
  }

  /** @returns {string} */
  number() {
    NUMBER.lastIndex = this.at;
    const text = NUMBER.exec(this.text)?.[0] ?? "";
    this.at += text.length;
    END.lastIndex = this.at;
    if (text === "" || text.length >= NUMBER_CHARACTERS || !END.test(this.text)) {
      this.fail();
    }
    return text;
  }

  /** @param {...string} words of which one stands here, in capitals if need be */
  word(...words) {
    const found = words.find((word) => this.text.slice(this.at, this.at + word.length).toLowerCase() === word) ?? "";
    this.at += found.length;
    END.lastIndex = this.at;
    if (found === "" || !END.test(this.text)) {
      this.fail();
    }
    return found;
  }

  /** Takes a string whose first quote was read. Halves of pairs that stand alone become `?`, as Zipkin writes them. */
  restOfString() {
    /** @type {string[]} */
    const parts = [];
    for (;;) {
      const run = /[^"\\]*/y;
      run.lastIndex = this.at;
      const text = run.exec(this.text)?.[0] ?? "";
      parts.push(text);
      this.at += text.length + 1;
      switch (this.text[this.at - 1]) {
        case '"':
          return parts.length === 1 ? text : wellFormed(parts.join(""));
        case "\\":
          parts.push(this.escape());
          break;
        default:
          this.fail();
      }
    }
  }

  escape() {
    const character = this.text[this.at] ?? "";
    this.at += 1;
    if (character !== "u") {
      return ESCAPES[character] ?? this.fail();
    }
    const digits = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
      this.fail();
    }
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  /** @param {string} character */
  expect(character) {
    if (this.significant() !== character) {
      this.fail();
    }
  }

  /** Takes white space and the character behind it. */
  significant() {
    const space = /[ \t\r\n]*/y;
    space.lastIndex = this.at;
    this.at += (space.exec(this.text)?.[0].length ?? 0) + 1;
    const character = this.text[this.at - 1];
    return character ?? this.fail();
  }

  /** @returns {never} */
  fail() {
    const before = this.text.slice(0, Math.max(this.at - 1, 0)).split("\n");
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
    throw new Error(`This is not JSON: ${this.at > this.text.length ? "it ends early" : "it goes wrong"} at ${place}`);
  }
}

/** @param {string} text */
function wellFormed(text) {
  return text.replaceAll(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "?");
}
