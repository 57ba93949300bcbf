export interface Peer { name: string, path: string, args: string[] }
export interface Lengths { prompt: string, generate: string, depth: string, threads: string }
export type Speeds = Map<string, number>

export function readArguments(argv: readonly string[]): { model: string, peers: Peer[], lengths: Lengths, nRounds: number, nWarmUp: number }
export function splitWords(text: string): string[]
export function peerCommand(peer: Peer, model: string, lengths: Lengths, help: string): string[]
export function speedsOf(output: string): Speeds
export function testName(record: { n_prompt?: number, n_gen?: number, n_depth?: number }): string
export function orderOf(peers: readonly Peer[], round: number): (Peer | 'ours')[]
export function median(list: readonly number[]): number
export function tables(peers: readonly Pick<Peer, 'name'>[], rounds: readonly Map<string, Speeds>[]): string
