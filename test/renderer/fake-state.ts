// Objects are patched, everything else is replaced.
export type Patch<T> = T extends readonly unknown[] ? T : Partial<T>

export function applyPatch<T>(before: T, patch: Patch<T>): T {
  return (Array.isArray(patch) ? patch : { ...before, ...patch }) as T
}
