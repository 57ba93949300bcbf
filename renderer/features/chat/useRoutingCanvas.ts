import { onBeforeUnmount, onMounted, watch, type Ref } from 'vue'
import { colourScale, scaleIndex } from '../../composables/colourScale'
import { useFrameThrottle } from '../../composables/useFrameThrottle'
import type { RoutingLoad } from '../../stores/routing'

export interface Cell { layer: number, expert: number }
export interface RoutingGeometry { cellWidth: number, cellHeight: number, width: number, height: number }

// Layers run across, experts down. Cells of small models stay small squares with a gap,
// large ones fill the space.
export function geometryOf(load: Pick<RoutingLoad, 'nLayers' | 'nRoutedExperts'>, width: number, height: number): RoutingGeometry {
  const cellWidth = Math.max(1, Math.min(36, width / load.nLayers))
  const cellHeight = Math.max(1, Math.min(18, height / load.nRoutedExperts))
  return { cellWidth, cellHeight, width: cellWidth * load.nLayers, height: cellHeight * load.nRoutedExperts }
}

export function fillPixels(load: RoutingLoad, pixels: Uint8ClampedArray): void {
  for (let layer = 0; layer < load.nLayers; layer++) {
    for (let expert = 0; expert < load.nRoutedExperts; expert++) {
      const entry = scaleIndex(load.load[layer * load.nRoutedExperts + expert] ?? 0, load.nRoutedExperts) * 4
      pixels.set(colourScale.subarray(entry, entry + 4), (expert * load.nLayers + layer) * 4)
    }
  }
}

export function useRoutingCanvas(canvas: Ref<HTMLCanvasElement | null>, box: Ref<HTMLElement | null>, load: Ref<RoutingLoad | undefined>, cursor: Ref<Cell | undefined>): void {
  let small: OffscreenCanvas | undefined
  let visible = true

  function paint(): void {
    const element = canvas.value
    const current = load.value
    const context = element?.getContext('2d')
    if (!element || !current || !context || !box.value || !visible || document.hidden) return
    const geometry = geometryOf(current, box.value.clientWidth, box.value.clientHeight)
    const scale = devicePixelRatio
    element.width = Math.round(geometry.width * scale)
    element.height = Math.round(geometry.height * scale)
    element.style.width = `${geometry.width}px`
    element.style.height = `${geometry.height}px`
    small = small?.width === current.nLayers && small.height === current.nRoutedExperts ? small : new OffscreenCanvas(current.nLayers, current.nRoutedExperts)
    const smallContext = small.getContext('2d')
    if (!smallContext) return
    const image = smallContext.createImageData(current.nLayers, current.nRoutedExperts)
    fillPixels(current, image.data)
    smallContext.putImageData(image, 0, 0)
    context.imageSmoothingEnabled = false
    context.drawImage(small, 0, 0, element.width, element.height)
    drawMarks(context, current, geometry, scale, cursor.value)
  }

  const throttle = useFrameThrottle(paint, 33)
  watch([load, cursor], () => throttle.request(), { flush: 'post' })

  const resize = new ResizeObserver(() => throttle.request())
  const sight = new IntersectionObserver(([entry]) => { visible = entry?.isIntersecting ?? true; if (visible) throttle.request() })
  const wake = (): void => { if (!document.hidden) throttle.request() }
  onMounted(() => {
    if (box.value) { resize.observe(box.value); sight.observe(box.value) }
    document.addEventListener('visibilitychange', wake)
    throttle.request()
  })
  onBeforeUnmount(() => { resize.disconnect(); sight.disconnect(); document.removeEventListener('visibilitychange', wake) })
}

function drawMarks(context: CanvasRenderingContext2D, load: RoutingLoad, geometry: RoutingGeometry, scale: number, cursor: Cell | undefined): void {
  const width = geometry.cellWidth * scale
  const height = geometry.cellHeight * scale
  // Gaps between cells where there is room for them.
  if (geometry.cellWidth >= 8 && geometry.cellHeight >= 6) {
    context.globalCompositeOperation = 'destination-out'
    for (let layer = 1; layer < load.nLayers; layer++) context.fillRect(Math.round(layer * width) - 1, 0, Math.max(1, scale), context.canvas.height)
    for (let expert = 1; expert < load.nRoutedExperts; expert++) context.fillRect(0, Math.round(expert * height) - 1, context.canvas.width, Math.max(1, scale))
    context.globalCompositeOperation = 'source-over'
  }
  const outline = (cell: Cell, colour: string, line: number): void => {
    context.strokeStyle = colour
    context.lineWidth = line
    context.strokeRect(cell.layer * width + line / 2, cell.expert * height + line / 2, Math.max(line, width - line - scale), Math.max(line, height - line - scale))
  }
  for (let layer = 0; layer < load.nLayers; layer++) {
    for (let slot = 0; slot < load.nActiveExperts; slot++) {
      const expert = load.lastIds[layer * load.nActiveExperts + slot]
      if (expert !== undefined && expert !== 0xffff) outline({ layer, expert }, '#ffffff', Math.max(1, Math.min(1.5 * scale, height / 3)))
    }
  }
  if (cursor) outline(cursor, '#ff5da2', 2 * scale)
}
