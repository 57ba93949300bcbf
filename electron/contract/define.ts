// How a contract is written down. One description of a method; types, validation, the
// version hash and later the JSON schemas of REST are derived from it.
import type { z } from 'zod'
import type { ErrorCode } from './errors'

export type Scope = 'infer' | 'manage' | 'train'

export interface CallSpec<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  in: I
  out: O
  scope: Scope
  // Errors a caller should be ready for, beyond E_SCHEMA, E_SCOPE and E_INTERNAL.
  errors?: readonly ErrorCode[]
  maxBytes?: number
}

export interface BinaryItems { binary: string }

export interface StreamSpec<I extends z.ZodType = z.ZodType, O extends z.ZodType | BinaryItems = z.ZodType | BinaryItems> {
  in: I
  out: O
  scope: Scope
  credit: number                    // items the producer may send ahead
  drop: 'never' | 'latest'          // what to do without credit: wait, or keep only the newest
  resume: boolean                   // items are numbered and kept for a reconnecting client
}

export interface ContractSpec {
  version: number
  calls: Record<string, CallSpec>
  streams: Record<string, StreamSpec>
  state: Record<string, z.ZodType>
}

export function call<I extends z.ZodType, O extends z.ZodType>(spec: CallSpec<I, O>): CallSpec<I, O> { return spec }
export function stream<I extends z.ZodType, O extends z.ZodType | BinaryItems>(spec: StreamSpec<I, O>): StreamSpec<I, O> { return spec }
export function binary(layout: string): BinaryItems { return { binary: layout } }
export function defineContract<C extends ContractSpec>(contract: C): C { return contract }

export type CallName<C extends ContractSpec> = keyof C['calls'] & string
export type StreamName<C extends ContractSpec> = keyof C['streams'] & string
export type StateKey<C extends ContractSpec> = keyof C['state'] & string
export type CallIn<C extends ContractSpec, M extends CallName<C>> = z.input<C['calls'][M]['in']>
export type CallParams<C extends ContractSpec, M extends CallName<C>> = z.output<C['calls'][M]['in']>
export type CallOut<C extends ContractSpec, M extends CallName<C>> = z.output<C['calls'][M]['out']>
export type StreamIn<C extends ContractSpec, M extends StreamName<C>> = z.input<C['streams'][M]['in']>
export type StreamParams<C extends ContractSpec, M extends StreamName<C>> = z.output<C['streams'][M]['in']>
export type StreamItem<C extends ContractSpec, M extends StreamName<C>> =
  C['streams'][M]['out'] extends z.ZodType ? z.output<C['streams'][M]['out']> : Uint8Array
export type StateValue<C extends ContractSpec, K extends StateKey<C>> = z.output<C['state'][K]>
