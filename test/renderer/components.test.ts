import { mount } from '@vue/test-utils'
import { nextTick } from 'vue'
import { expect, it } from 'vitest'
import BaseNumberInput from '../../renderer/components/BaseNumberInput.vue'

it('keeps a half-typed number when the parent draws anew, and clamps it when the field is left', async () => {
  const wrapper = mount(BaseNumberInput, { props: { modelValue: 1, min: 0, max: 10, label: 'one' } })
  const field = wrapper.get('input')
  field.element.value = '8'
  await field.trigger('input')
  await wrapper.setProps({ label: 'two' })
  expect(field.element.value).toBe('8')
  await field.trigger('change')
  expect(wrapper.emitted('update:modelValue')).toEqual([[8]])
  field.element.value = '99'
  await field.trigger('input')
  await field.trigger('change')
  expect(wrapper.emitted('update:modelValue')?.at(-1)).toEqual([10])
})

it('goes back to the last number when what was typed is none, and follows its model', async () => {
  const wrapper = mount(BaseNumberInput, { props: { modelValue: 3, min: 0, max: 10, integer: true } })
  const field = wrapper.get('input')
  field.element.value = ''
  await field.trigger('input')
  await field.trigger('change')
  await nextTick()
  expect(field.element.value).toBe('3')
  expect(wrapper.emitted('update:modelValue')).toBeUndefined()
  await wrapper.setProps({ modelValue: 7 })
  expect(field.element.value).toBe('7')
})
