/**
 * Shares of types of white cells. The twin of `hematovision/networks/differential.py`.
 */
import { NORMAL_95 } from "../../constants.js";

/**
 * 95 % interval of a share (Wilson, 1927), which stays within 0 and 1 and is right for few.
 * @param {number} count @param {number} total @returns {[number, number]}
 */
export function wilson(count, total) {
  if (total === 0) return [0, 1];
  const [share, z2] = [count / total, NORMAL_95 ** 2];
  const middle = (share + z2 / (2 * total)) / (1 + z2 / total);
  const reach = Math.sqrt((share * (1 - share)) / total + z2 / (4 * total ** 2)) * NORMAL_95;
  const half = reach / (1 + z2 / total);
  return [Math.max(middle - half, 0), Math.min(middle + half, 1)];
}
