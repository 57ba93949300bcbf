export const models = {
  title: '模型', add: '添加模型', addFolder: '添加文件夹', search: '搜索模型', searchEmpty: '没有与“{query}”匹配的模型。', list: '这台电脑上的模型',
  emptyTitle: '还没有模型', emptyText: '将 GGUF 文件或文件夹拖放到窗口任意位置。文件保留在原处。', builtIn: '内置', loaded: '已加载', broken: '已损坏', missing: '文件不存在', unsupported: '无法运行', moe: '{total} 个专家中激活 {active} 个', dense: '稠密',
  demoTitle: '小型演示模型', demoText: '此模型专为 Moebius 训练，让首次启动就有真实的模型可运行：600 万参数，具备完整的 DeepSeek-V3 结构。它会写简单的故事和小算术题，经常出错，对世界一无所知。',

  load: '加载', unload: '卸载', chat: '聊天', cancelLoad: '取消加载', reveal: '在文件夹中显示', copyPath: '复制路径', remove: '从列表移除', more: '更多操作', loadingProgress: '正在加载，{percent}', loadAnyway: '仍然加载',
  loadedIn: '加载用时 {time}，上下文 {seqLen} 个 token，{threads} 个线程，缓存 {cacheFormat}', bf16Attention: '近似：提示词注意力使用 bfloat16。',
  readWhenUsed: '权重大于可用内存：将在使用时读取。',

  tabs: '关于此模型', overview: '概览', metadata: '元数据', tensors: '张量', template: '聊天模板',
  parametersTotal: '参数', parametersActive: '每个 token 激活', context: '上下文长度', fileSize: '文件大小', parts: '{n} 个分片', bitsPerWeight: '每权重位数',
  bytesPerToken: '每个 token 读取', ceiling: '本机速度上限', ceilingHint: '受内存速度限制', layers: '层', denseLayers: '{n} 个稠密层', embedding: '嵌入长度', experts: '专家', expertsValue: '{total} 个中的 {active} 个', sharedExperts: '{n} 个共享', groups: '专家组', groupsValue: '{total} 个中的 {active} 个',
  mtp: '草稿层 (MTP)', vocabulary: '词表', tokenizer: '分词器', licence: '许可证', licenceNone: '文件中未注明', chatTemplate: '聊天模板', tokensUnit: '{n} 个 token', path: '文件',

  memory: '内存', memoryText: '加载所需的内存与当前可用内存。', memoryContext: '上下文长度', memoryWeights: '权重', memoryCache: 'KV 缓存', memoryScratch: '工作内存', memoryFits: '需要 {total}，可用 {available}：可以容纳。',
  memoryTight: '需要 {total}，可用 {available}：无法容纳。', memoryBar: '内存用途',
  stream: '从磁盘流式读取专家', streamText: '路由器选中专家时才读取，最近用过的留在内存中。回答逐位相同。', streamMemory: '专家内存', streamSlots: '每层可容纳 {experts} 个专家中的 {slots} 个。至少需要 {least}。',
  streamSuggested: '流式读取专家并为其留出 {memory} 即可容纳。', streamWith: '以 {memory} 流式加载', streamNextLoad: '下次加载该模型时生效。', streamCounters: '所需专家有 {share} 在内存中；已读取 {read}，速度 {speed}/秒。', memoryResident: '常驻权重', memoryExperts: '内存中的专家',
  formats: '数值格式', formatsText: '权重的存储方式。', formatsBar: '各数值格式的字节数', formatTensors: '{n} 个张量，{bytes}',
  places: '字节分布', placesBar: '模型各部分的字节数', class_experts: '专家', class_sharedExperts: '共享专家', class_attention: '注意力', class_dense: '稠密层', class_router: '路由器', class_head: '输出头', class_embedding: '嵌入', class_norms: '归一化', class_other: '其他',
  derived: '推导值', derivedText: '加载器得出的数值及其来源。', derivedName: '名称', derivedValue: '结果', derivedOrigin: '来源', origin_key: '文件元数据', origin_tensor: '张量形状', origin_table: '内置表格', origin_default: '默认值', origin_override: '手动覆盖',
  warnings: '值得注意', ignored: '未使用的张量：{names}', unsupportedTitle: '此模型暂时无法运行',

  metadataSearch: '搜索元数据', metadataCount: '{shown} / {total} 项', key: '键', type: '类型', value: '值', tensorSearch: '搜索张量', tensorCountShown: '{shown} / {total} 个张量', name: '名称', format: '格式', shape: '形状', bytes: '大小',
  templateNone: '文件中没有聊天模板，消息将以简单形式发送。', templateCopy: '复制模板', inspecting: '正在读取文件', inspectFailed: '无法读取文件', tableMetadata: '文件的元数据', tableTensors: '文件的张量',
}
