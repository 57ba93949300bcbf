// Announces; whoever listens unsubscribes with the returned function.
export class Emitter<T> {
  private readonly listeners = new Set<(value: T) => void>()

  on(listener: (value: T) => void): () => void {
    this.listeners.add(listener)
    return () => { this.listeners.delete(listener) }
  }

  emit(value: T): void {
    for (const listener of [...this.listeners]) listener(value)
  }
}
