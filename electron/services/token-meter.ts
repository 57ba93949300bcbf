// Tokens of the last second, told once a second while something decodes; no timer otherwise.
const windowMs = 1000

export class TokenMeter {
  private timer: NodeJS.Timeout | undefined
  private nTokens = 0
  private rate = 0

  constructor(private readonly onTick: () => void) {}

  get perSecond(): number { return this.rate }

  count(): void { this.nTokens++ }

  start(): void {
    this.timer ??= setInterval(() => {
      this.rate = this.nTokens * 1000 / windowMs
      this.nTokens = 0
      this.onTick()
    }, windowMs).unref()
  }

  stop(): void {
    clearInterval(this.timer)
    this.timer = undefined
    this.nTokens = 0
    this.rate = 0
  }
}
