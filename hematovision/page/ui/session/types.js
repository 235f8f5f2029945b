/**
 * The types of white cells that are tallied, each with its key, as on a laboratory's counter.
 */

/**
 * `apart`: counted beside the white cells, as so many per hundred of them.
 * @typedef {{name: string, key: string, apart: boolean, own: boolean}} Type
 */

/** @param {string} name @param {string} key @param {boolean} [apart] @returns {Type} */
const usual = (name, key, apart = false) => ({ name, key, apart, own: false });

// More of a model's own come after these.
const USUAL = [
  usual("Neutrophil", "N"),
  usual("Band neutrophil", "S"),
  usual("Lymphocyte", "L"),
  usual("Atypical lymphocyte", "T"),
  usual("Monocyte", "M"),
  usual("Eosinophil", "E"),
  usual("Basophil", "B"),
  usual("Immature granulocyte", "I"),
  usual("Blast", "X"),
  usual("Other", "O"),
  usual("Erythroblast", "R", true),
  usual("Smudge cell", "D", true),
];
const TAKEN = "ACFGJKUW"; // letters with another use in the page
const LONGEST_NAME = 40;

export class Types {
  /** @param {string[]} proposed types that the model proposes */
  constructor(proposed) {
    const known = USUAL.map(({ name }) => name);
    const more = proposed.filter((name) => !known.includes(name));
    /** @type {Type[]} */
    this.list = [...USUAL, ...more.map((name) => usual(name, ""))];
  }

  /** @returns {Type[]} those that a person added */
  get own() {
    return this.list.filter((type) => type.own);
  }

  /** Whether cells of a type are counted beside the white ones. @param {string | null} name */
  isApart(name) {
    return this.list.some((type) => type.apart && type.name === name);
  }

  /** @param {string} key @returns {string | null} */
  ofKey(key) {
    return this.list.find((type) => type.key && type.key === key.toUpperCase())?.name ?? null;
  }

  /**
   * Add a type of one's own; an Error's message says which text tells why not.
   * @param {string} name @param {string} key
   */
  add(name, key) {
    const wanted = name.trim().slice(0, LONGEST_NAME);
    const letter = key.trim().toUpperCase();
    if (!wanted) throw Error("typeNameless");
    const same = wanted.toLowerCase();
    if (this.list.some((type) => type.name.toLowerCase() === same)) throw Error("typeThere");
    if (letter && (!/^\p{L}$/u.test(letter) || TAKEN.includes(letter) || this.ofKey(letter))) {
      throw Error("typeKeyTaken");
    }
    this.list.push({ name: wanted, key: letter, apart: false, own: true });
  }

  /** @param {string} name */
  remove(name) {
    this.list = this.list.filter((type) => !type.own || type.name !== name);
  }

  /** Take up what was kept; what isn't one is left out. @param {any} kept */
  restore(kept) {
    for (const one of Array.isArray(kept) ? kept : []) {
      try {
        this.add(String(one.name), String(one.key));
      } catch {
        // a type that the model has brought since
      }
    }
  }
}
