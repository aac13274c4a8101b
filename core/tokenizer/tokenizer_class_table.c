/* Written by tools/make_tokenizer_classes.py from transformers 5.24.0; not edited by hand. */
#include "tokenizer/tokenizer_class_table.h"

#include <stddef.h>

const struct pipeline_words tokenizer_class_words[] = {
    {PIPELINE_FILE,
     " BloomTokenizer ConvBertTokenizer FNetTokenizer LlamaTokenizer ParakeetTokenizer PreTrainedTokenizer"
     " PythonBackend TokenizersBackend "},
    {PIPELINE_GPT2, " CodeGenTokenizer GPT2Tokenizer "},
    {PIPELINE_NEOX, " GPTNeoXTokenizer "},
    {PIPELINE_QWEN2, " Qwen2Tokenizer "},
    {PIPELINE_OTHER,
     " AlbertTokenizer BartTokenizer BarthezTokenizer BartphoTokenizer BasicTokenizer BertGenerationTokenizer"
     " BertJapaneseTokenizer BertTokenizer BertweetTokenizer BigBirdTokenizer BioGptTokenizer"
     " BlenderbotSmallTokenizer BlenderbotTokenizer ByT5Tokenizer CLIPTokenizer CTRLTokenizer"
     " CamembertTokenizer CanineTokenizer CharacterTokenizer ClvpTokenizer CodeLlamaTokenizer CohereTokenizer"
     " CpmAntTokenizer CpmTokenizer DPRContextEncoderTokenizer DPRQuestionEncoderTokenizer DPRReaderTokenizer"
     " DebertaTokenizer DebertaV2Tokenizer DiaTokenizer DistilBertTokenizer EsmTokenizer EsmcTokenizer"
     " FSMTTokenizer FastSpeech2ConformerTokenizer FlaubertTokenizer FunnelTokenizer GPTNeoXJapaneseTokenizer"
     " GPTSw3Tokenizer GemmaTokenizer HerbertTokenizer LEDTokenizer LasrTokenizer LayoutLMv2Tokenizer"
     " LayoutLMv3Tokenizer LayoutXLMTokenizer LukeTokenizer LxmertTokenizer M2M100Tokenizer MBart50Tokenizer"
     " MBartTokenizer MLukeTokenizer MPNetTokenizer MarianTokenizer MarkupLMTokenizer MecabTokenizer"
     " MgpstrTokenizer MobileBertTokenizer MvpTokenizer MyT5Tokenizer NllbTokenizer NougatTokenizer"
     " OpenAIGPTTokenizer PLBartTokenizer PegasusTokenizer PerceiverTokenizer PhobertTokenizer"
     " Pop2PianoTokenizer ProphetNetTokenizer Qwen3_5Tokenizer RagTokenizer ReformerTokenizer RemBertTokenizer"
     " RoCBertTokenizer RoFormerTokenizer RobertaTokenizer SeamlessM4TTokenizer Siglip2Tokenizer"
     " SiglipTokenizer Speech2TextTokenizer SpeechT5Tokenizer SplinterTokenizer SqueezeBertTokenizer"
     " T5Tokenizer TapasTokenizer Tipsv2Tokenizer UdopTokenizer VideoPrismTokenizer VitsTokenizer"
     " Wav2Vec2CTCTokenizer Wav2Vec2PhonemeCTCTokenizer WhisperTokenizer WordpieceTokenizer XGLMTokenizer"
     " XLMRobertaTokenizer XLMTokenizer XLNetTokenizer "},
    {PIPELINE_UNKNOWN, NULL}};

const struct pipeline_words tokenizer_model_words[] = {
    {PIPELINE_FILE,
     " EvollaModel arctic aria beam bigbird_pegasus camembertv2-base canary chatlm cohere_asr ernie4_5"
     " ernie4_5_moe flex_olmo fuyu glm glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe glm_image glmasr got_ocr2"
     " gpt_bigcode gradium_phonon_tts granite granitemoe granitemoehybrid granitemoeshared h2ovl_chat"
     " hyperclovax hyperclovax_vlm internlm2 internlm3 iquestcoder jamba kimi_k25 kimi_linear kosmos-2 llava"
     " llava_next mimo_v2_flash minicpm3 minicpm_ocr minicpmv minicpmv4_6 minicpmv4_7 minimax_m2 ministral"
     " ministral3 mistral mistral3 mistral_large4 mixtral modernbert modernbert-decoder molmo molmo2"
     " nemo_speechlm nemotron nvfp4 nystromformer olmo2 olmo3 olmo_hybrid omniasr opencua openvla paddleocr_vl"
     " pegasus_x persimmon phi3 phi3_v phimoe pix2struct pixtral pocket_tts smolvlm stablelm step3_vl umt5"
     " vipllava voxtral voxtral_realtime xlm-roberta-xl "},
    {PIPELINE_GPT2,
     " blip-2 codegen dbrx emu3 gpt2 gpt_neo gptj hyperclovax_vision_v2 instructblip instructblipvideo jais2"
     " opt phi starcoder2 "},
    {PIPELINE_NEOX, " falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm "},
    {PIPELINE_QWEN2,
     " audioflamingo3 colqwen2 cosmos3_omni dots3_note fun_asr_nano hunyuan_vl internvl lighton_ocr"
     " moss_transcribe_diarize ovis2 qianfan_ocr qwen2 qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl"
     " qwen3 qwen3_asr qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl qwen3_vl_moe vibevoice "},
    {PIPELINE_OTHER,
     " aimv2 albert align aya_vision bark bart barthez bartpho bert bert-generation bert-japanese bertweet"
     " big_bird biogpt blenderbot blenderbot-small blip bridgetower bros byt5 camembert canine chinese_clip"
     " clap clip clipseg clvp code_llama cohere cohere2 convbert cpm cpmant ctrl data2vec-audio data2vec-text"
     " deberta deberta-v2 dia diffusion_gemma distilbert dpr electra ernie esm esmc esmfold2"
     " fastspeech2_conformer flaubert flava florence2 fnet fsmt funnel gemma gemma2 gemma3 gemma3_text gemma3n"
     " gemma3n_text git gpt-sw3 gpt_neox_japanese granite_speech5_ctc grounding-dino groupvit gte herbert"
     " hubert ibert idefics idefics2 jina_embeddings_v3 lasr_ctc lasr_encoder layoutlm layoutlmv2 layoutlmv3"
     " layoutxlm led lilt longformer luke lxmert m2m_100 marian markuplm mbart mbart50 mega megatron-bert"
     " metaclip_2 mgp-str mluke mm-grounding-dino mobilebert mpnet mra mt5 musicgen musicgen_melody mvp myt5"
     " nemotron3_5_asr nemotron_asr_streaming nezha nllb nllb-moe nomic_bert nougat omdet-turbo omniasr_ctc"
     " oneformer openai-gpt owlv2 owlvit parakeet_ctc parakeet_rnnt parakeet_tdt pegasus perceiver phobert"
     " plbart pp_formulanet prophetnet qdqbert qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen4_exp rag"
     " realm recurrent_gemma reformer rembert retribert roberta roberta-prelayernorm roc_bert roformer sam3"
     " sam3_video seamless_m4t seamless_m4t_v2 shieldgemma2 siglip siglip2 speech_to_text speecht5 splinter"
     " squeezebert switch_transformers t5 t5gemma tapas tipsv2 trocr tvp udop unispeech unispeech-sat"
     " videoprism vilt visual_bert vits wav2vec2 wav2vec2-bert wav2vec2-conformer wav2vec2_phoneme whisper"
     " xclip xglm xlm xlm-roberta xlnet xmod yoso zaya "},
    {PIPELINE_UNKNOWN, NULL}};

const char tokenizer_overruling_models[] =
    " arctic camembertv2-base chatlm cohere_asr ernie4_5 ernie4_5_moe fuyu h2ovl_chat hyperclovax"
    " hyperclovax_vision_v2 hyperclovax_vlm internlm2 internlm3 iquestcoder jamba llava llava_next minicpm3"
    " minicpmv minimax_m2 modernbert modernbert-decoder molmo molmo2 nemotron nvfp4 opencua openvla"
    " paddleocr_vl phi3 phi3_v phimoe qwen2 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen4_exp siglip2 smolvlm"
    " step3_vl vipllava ";
