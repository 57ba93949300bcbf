// The host's log: the newest lines in memory, told to who listens. No prompts, no answers.
import { Emitter } from './emitter'

export interface LogLine { at: number, level: 'info' | 'warning' | 'error', text: string }

const keptLines = 1000
const maxLineLength = 4000

export class LogService {
  readonly onDidLog = new Emitter<LogLine>()
  private readonly ring: LogLine[] = []

  info(text: string): void { this.add('info', text) }
  warning(text: string): void { this.add('warning', text) }
  error(text: string): void { this.add('error', text) }

  // The newest lines, oldest first.
  tail(lines: number): LogLine[] { return lines === 0 ? [] : this.ring.slice(-lines) }

  private add(level: LogLine['level'], text: string): void {
    const line = { at: Date.now(), level, text: text.slice(0, maxLineLength) }
    this.ring.push(line)
    if (this.ring.length > keptLines) this.ring.shift()
    this.onDidLog.emit(line)
  }
}
