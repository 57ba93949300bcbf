export const chat = {
  title: '聊天', newChat: '新对话', untitled: '新对话', list: '对话', search: '搜索对话', searchEmpty: '没有与“{query}”匹配的对话。',
  listEmpty: '您的对话会列在这里。', today: '今天', yesterday: '昨天', lastWeek: '最近 7 天', older: '更早', actionsOf: '“{title}”的操作',
  renameTitle: '重命名对话', name: '名称', deleted: '已删除“{title}”。', hideList: '隐藏列表', showList: '显示列表',
  messages: '消息', you: '您', assistant: '回答', answerBy: '{name} 的回答',

  composer: '消息', placeholder: '输入消息', placeholderNoModel: '请先选择模型', send: '发送', stop: '停止',
  hint: '按 Enter 发送，按 Shift 和 Enter 换行', contextUse: '上下文已用 {used} / {total} 个 token', sendLoads: '发送时将加载 {name}。',

  emptyTitle: '今天想聊些什么？', emptyText: '一切都留在这台电脑上。',
  demoText: '内置模型只是一个 600 万参数的小型演示。它擅长简单算术和短故事，并且经常出错。真正的工作请添加更大的模型。',
  suggestions: '建议', suggestSum: 'Rose has 17 kites. Anna gives Rose 24 more kites. How many kites does Rose have?', suggestStory: 'Tell me a short story.', suggestMultiply: 'What is 12 * 3?',
  noModelTitle: '添加模型后即可开始', noModelText: '将 GGUF 文件拖放到窗口任意位置，或者选择一个文件。',

  model: '模型', chooseModel: '选择模型', modelLoaded: '已加载', modelLoading: '正在加载 {percent}', builtIn: '内置', cannotRun: '无法运行', manageModels: '管理模型',
  loadingModel: '正在加载 {name}', loadFailed: '{name} 无法加载', sendFailed: '消息未能发送',
  needs: '大约需要 {needed}；当前可用 {available}。',

  waiting: '等待模型', readingPrompt: '正在读取提示：{processed} / {total} 个 token', readingCached: '其中 {cached} 个来自缓存',
  thinking: '正在思考', thought: '思考了 {time}', thoughtShort: '思考过程', stopped: '您停止了此回答。', interrupted: '此回答被中断：生成过程中主机退出了。',
  failed: '此回答失败', emptyAnswer: '模型没有输出任何内容就结束了回答。',
  answerStarted: '开始回答。',
  copyMessage: '复制', copyCode: '复制代码', edit: '编辑', regenerate: '重新生成', previous: '上一个版本', next: '下一个版本', version: '第 {index} 个版本，共 {count} 个',
  editSend: '发送', editHint: '发送后会新建一个分支，原来的分支保留。', jump: '跳到最新', code: '代码',

  statSpeed: '速度', statFirst: '首个 token', statTokens: 'Token', statPrompt: '提示', statCached: '来自缓存', statContext: '上下文', statStop: '结束', statSeed: '种子', statModel: '模型',
  statPromptSpeed: '提示处理速度', stats: '此回答的数据', tokens: '{n} 个 token', tokensOf: '{used} / {total}',
  stop_stop: '自然结束', stop_length: '达到长度上限', stop_cancelled: '被您停止', stop_error: '失败',
  statDraft: '草拟', statDraftState: '草拟状态', statDraftSpeedup: '草拟时的速度', draftShare: '{drafted} 个中接受 {share}', draftNone: '未草拟', draftSummary: '草拟命中 {share}', times: '{factor} 倍',
  draftReason_not_asked: '关闭', draftReason_no_draft_layer: '没有草拟层', draftReason_always: '始终开启', draftReason_measuring: '已开启，仍在测量', draftReason_gains: '已开启：更快', draftReason_no_gain: '已关闭：并不更快', draftReason_failed: '已关闭：草拟失败',

  tune: '采样与系统提示词', tuneTitle: '采样', temperature: '温度', samplingTopK: 'Top-k', samplingTopKHint: '0 表示关闭。',
  topP: 'Top-p', minP: 'Min-p', repeatPenalty: '重复惩罚', seed: '种子', seedHint: '−1 表示每次使用新的种子。', maxTokens: '回答长度上限', maxTokensHint: '0 表示用完剩余的上下文。',
  systemPrompt: '系统提示词', systemPromptHint: '在对话开始前告诉模型的内容。', resetSampling: '恢复默认值',
  draft: '预先草拟', draftMode_off: '关闭', draftMode_auto: '自动', draftMode_always: '始终', draftTokens: '每次草拟的 token 数',
  draftHint: '模型的草拟层先猜测若干 token，再一并验证。回答保持不变；“自动”仅在更快时草拟。',

  linkTitle: '打开此链接？', linkText: '它将离开 Moebius。该文本来自模型，请核对地址。', linkOpen: '在浏览器中打开', linkCopy: '复制地址', linkHost: '网站：{host}', linkRefused: '只能打开 https 地址。',
  strip: '路由', stripShow: '显示路由条', stripHide: '隐藏路由条', stripWaiting: '生成第一个 token 时，图会亮起来。', stripDense: '此模型没有专家：每个 token 都使用全部权重。',
  stripNone: '加载混合专家模型即可观察其路由器。', stripTitle: '各层的专家负载', stripCell: '第 {layer} 层，专家 {expert}，{share}', stripCellActive: '第 {layer} 层，专家 {expert}，{share}，上一个 token 选中',
  stripLayers: '层', stripTokens: '已统计 {n} 个 token', stripTable: '以表格显示', stripMap: '以图显示', stripTableTitle: '各层使用最多的专家', stripLayer: '层', stripTop: '使用最多的专家', stripRange: '{from} 到 {to}',
  stripLow: '很少', stripHigh: '经常', stripHint: '用方向键在单元格之间移动。', stripLast: '描边单元格：上一个 token', stripSummary: '{layers} 层 × {experts} 个专家，激活 {active} 个',
}
