// The live routing frames. The engine is asked only while something decodes and somebody looks;
// what is drained goes to all who look at that model.
import { encodeRoutingFrame, type RoutingFrame } from '../contract'
import type { EngineSession, RoutingDrain } from '../engine/types'
import type { ModelService, RunningGeneration } from './models'

const framesPerSecond = 12
const maxPhases = 8
const maxWaiting = 16
const emptySlots = { lastIds: new Uint16Array(0), lastWeights: new Float32Array(0), count: new Uint16Array(0) }

type FrameSink = (frame: Uint8Array) => Promise<void>

export class RoutingTraceService {
  private readonly viewers = new Set<RoutingViewer>()
  private timer: NodeJS.Timeout | undefined
  private epoch = 0
  private shown = { instanceId: '', owner: '' }

  constructor(private readonly models: ModelService) {
    models.onDidStart.on(generation => this.started(generation))
    models.onDidEnd.on(generation => {
      this.drain(generation)
      this.update()
    })
  }

  // Frames of one model, or of any, until the returned function is called. `send` resolves when
  // the next frame may come; counts of the time between are added up.
  view(modelId: string | undefined, send: FrameSink): () => void {
    const viewer = new RoutingViewer(modelId, send)
    this.viewers.add(viewer)
    this.update()
    return () => {
      this.viewers.delete(viewer)
      this.update()
    }
  }

  private started(generation: RunningGeneration): void {
    const { instance, pooled } = generation
    if (this.viewers.size > 0) {
      // What an earlier answer left uncollected does not belong to this one.
      for (const rest of drainAll(pooled.session)) void rest
      const { instanceId } = instance
      if (instanceId !== this.shown.instanceId) this.epoch++
      if (instanceId !== this.shown.instanceId || pooled.owner !== this.shown.owner) {
        this.shown = { instanceId, owner: pooled.owner }
        this.send(generation, { kind: 'reset', prefill: false, nTokens: 0, firstToken: 0, ...emptySlots })
      }
    }
    this.update()
  }

  // A timer only while there is something to drain and somebody to see it.
  private update(): void {
    const wanted = this.viewers.size > 0 && this.models.running.length > 0
    if (wanted) {
      this.timer ??= setInterval(() => {
        const newest = this.models.running.at(-1)
        if (newest) this.drain(newest)
      }, 1000 / framesPerSecond)
    } else {
      clearInterval(this.timer)
      this.timer = undefined
    }
  }

  private drain(generation: RunningGeneration): void {
    if (this.viewers.size === 0) return
    for (const { prefill, nTokens, firstToken, lastIds, lastWeights, count } of drainAll(generation.pooled.session)) {
      const cells = Uint16Array.from(count, value => Math.min(value, 0xffff))
      this.send(generation, { kind: 'aggregate', prefill, nTokens, firstToken, lastIds, lastWeights, count: cells })
    }
  }

  private send({ instance }: RunningGeneration, part: Pick<RoutingFrame, 'kind' | 'prefill' | 'nTokens' | 'firstToken' | 'lastIds' | 'lastWeights' | 'count'>): void {
    const { moe } = instance.model
    if (!moe) return
    const frame = { ...part, ...moe, epoch: this.epoch }
    for (const viewer of this.viewers) if (viewer.modelId === undefined || viewer.modelId === instance.modelId) viewer.add(frame)
  }
}

// A viewer that reads slowly gets fewer frames, not fewer tokens.
class RoutingViewer {
  private readonly waiting: RoutingFrame[] = []
  private sending = false

  constructor(readonly modelId: string | undefined, private readonly sink: FrameSink) {}

  add(frame: RoutingFrame): void {
    const last = this.waiting.at(-1)
    if (frame.kind === 'reset') this.waiting.splice(0)
    // Prefill and decode stay apart, as long as the viewer is not hopelessly behind.
    const mayAdd = last?.kind === 'aggregate' && frame.kind === 'aggregate' && (last.prefill === frame.prefill || this.waiting.length >= maxWaiting)
    if (mayAdd) this.waiting[this.waiting.length - 1] = sumOf(last, frame)
    else this.waiting.push(frame)
    if (!this.sending) void this.drain()
  }

  private async drain(): Promise<void> {
    this.sending = true
    for (let frame = this.waiting.shift(); frame; frame = this.waiting.shift()) await this.sink(encodeRoutingFrame(frame))
    this.sending = false
  }
}

// A session hands out prefill and decode one after the other.
function* drainAll(session: EngineSession): Generator<RoutingDrain> {
  for (let n = 0; n < maxPhases; n++) {
    let drained: RoutingDrain | undefined
    try {
      drained = session.drainRouting()
    } catch {
      // The model was unloaded under the answer.
      return
    }
    if (!drained || drained.nTokens === 0) return
    yield drained
  }
}

function sumOf(earlier: RoutingFrame, later: RoutingFrame): RoutingFrame {
  return {
    ...later, firstToken: earlier.firstToken, nTokens: earlier.nTokens + later.nTokens,
    count: later.count.map((value, i) => Math.min(0xffff, value + (earlier.count[i] ?? 0))),
  }
}
