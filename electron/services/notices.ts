// Why earlier hosts ended, until the user has read it.
import type { HostNotice } from '../contract'
import { Emitter } from './emitter'

export class NoticeService {
  readonly onDidChange = new Emitter<HostNotice[]>()

  constructor(private current: HostNotice[] = []) {}

  get value(): HostNotice[] { return this.current }

  dismiss(): void {
    this.current = []
    this.onDidChange.emit(this.current)
  }
}
