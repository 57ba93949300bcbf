// Model files that the operating system hands to the program: double clicks, "open with",
// arguments of a second start. Kept until someone takes them; indexing never loads or runs.
import type { App } from 'electron'
import { z } from 'zod'
import { modelPaths } from './window-rules'

const SecondStart = z.object({ paths: z.array(z.string().max(32_768)).max(1000) })

export class OpenedFiles {
  private waiting: string[] = []
  private take: ((paths: string[]) => void) | undefined

  constructor(app: App) {
    this.add(this.fromArguments(process.argv))
    app.on('open-file', (event, path) => {
      event.preventDefault()
      this.add(modelPaths([path]))
    })
  }

  fromArguments(argv: readonly string[]): string[] {
    return modelPaths(argv.slice(1))
  }

  // argv arrives reordered by Chromium; the first start's own list is used instead.
  fromSecondInstance(data: unknown): void {
    const parsed = SecondStart.safeParse(data)
    if (parsed.success) this.add(modelPaths(parsed.data.paths))
  }

  deliver(take: (paths: string[]) => void): void {
    this.take = take
    this.add([])
  }

  private add(paths: string[]): void {
    this.waiting.push(...paths)
    if (!this.take || this.waiting.length === 0) return
    this.take(this.waiting.splice(0))
  }
}
