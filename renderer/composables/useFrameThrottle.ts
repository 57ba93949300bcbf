import { onScopeDispose } from 'vue'

export interface FrameThrottleReturn { request: () => void, flush: () => void, cancel: () => void }

// Runs `work` in an animation frame, at most every `interval` milliseconds. Holds no timer
// while nothing is requested; a hidden window paints nothing.
export function useFrameThrottle(work: () => void, interval: number): FrameThrottleReturn {
  const throttle = frameThrottle(work, interval)
  onScopeDispose(throttle.cancel)
  return throttle
}

export function frameThrottle(work: () => void, interval: number): FrameThrottleReturn {
  let frame = 0
  let last = Number.NEGATIVE_INFINITY

  const tick = (now: number): void => {
    if (now - last < interval) { frame = requestAnimationFrame(tick); return }
    frame = 0
    last = now
    work()
  }
  const cancel = (): void => {
    if (frame !== 0) cancelAnimationFrame(frame)
    frame = 0
  }
  return {
    request: () => { if (frame === 0) frame = requestAnimationFrame(tick) },
    flush: () => { cancel(); work() },
    cancel,
  }
}
