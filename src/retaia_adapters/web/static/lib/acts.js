// The order of what a person did, whatever it was: the last act is the first that is taken back.

let acts = 0;

/** The number of a new act. */
export const nextAct = () => (acts += 1);
