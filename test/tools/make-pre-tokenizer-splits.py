#!/usr/bin/env python3
"""Writes test/fixtures/tokenizers/pre-tokenizer-splits.json to standard output.

    pip install tokenizers==0.23.3
    python3 test/tools/make-pre-tokenizer-splits.py > test/fixtures/tokenizers/pre-tokenizer-splits.json

Splits seeded random texts with the regular expressions of the models' own tokenizer.json
files, run by the tokenizers library, as an oracle for our hand-written matchers. Characters
are drawn from ranges whose categories have not changed since Unicode 12.
"""
import json
import pathlib
import random
import runpy
import sys

from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence, Split

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r'\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}', r'\p{Ll}\p{Lm}\p{Lo}\p{M}'
SPACES = r'\s*[\r\n]+|\s+(?!\S)|\s+'
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ASCII_SYMBOLS = r'''[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]'''


def llama3(digits):
    return CONTRACTIONS + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}' + digits + r'| ?[^\s\p{L}\p{N}]+[\r\n]*|' + SPACES


def cased(upper, lower, suffix, digits, after):
    prefix = r'[^\r\n\p{L}\p{N}]?'
    return (f'{prefix}{upper}*{lower}+{suffix}|{prefix}{upper}+{lower}*{suffix}|\\p{{N}}{digits}'
            f'| ?[^\\s\\p{{L}}\\p{{N}}]+[{after}]*|{SPACES}')


def no_han(classes):
    return f'[{classes}&&[^\\p{{Han}}]]'


DEEPSEEK_LETTERS = runpy.run_path(str(pathlib.Path(__file__).with_name('make-unicode-tables.py')))['DEEPSEEK_LETTERS']

PATTERNS = {
    'gpt-2': [GPT2],
    'starcoder': [r'\p{N}', GPT2],
    'llama-bpe': [llama3('{1,3}')],
    'qwen2': [llama3('')],
    'qwen35': [CONTRACTIONS + r'|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|' + SPACES],
    'gpt-4o': [cased(f'[{UPPER}]', f'[{LOWER}]', CONTRACTIONS + '?', '{1,3}', r'\r\n/')],
    'tekken': [cased(f'[{UPPER}]', f'[{LOWER}]', '', '', r'\r\n/')],
    'kimi-k2': [r'[\p{Han}]+|' + cased(no_han(UPPER), no_han(LOWER), CONTRACTIONS + '?', '{1,3}', r'\r\n')],
    'deepseek-v3': [r'\p{N}{1,3}', '[一-龥぀-ゟ゠-ヿ]+',
                    ASCII_SYMBOLS + r'[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|' + SPACES],
    'deepseek-llm': [r'[\r\n]', r'\s?[' + DEEPSEEK_LETTERS + ']+', r'\s?[!-/:-~！-／：-～‘-‟　-。]+', r'\s+$',
                     '[一-龥ࠀ-一가-퟿]+', r'\p{N}+'],
    'deepseek-coder': [r'[\r\n]', r'\s?\p{L}+', r'\s?\p{P}+', '[一-龥ࠀ-一가-퟿]+', r'\p{N}'],
}

PIECES = [
    lambda r: chr(r.randint(0x61, 0x7A)), lambda r: chr(r.randint(0x41, 0x5A)), lambda r: chr(r.randint(0x30, 0x39)),
    lambda r: r.choice('!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'), lambda r: r.choice(' \t\n\r\f\v'), lambda r: ' ',
    lambda r: chr(r.randint(0xC0, 0x24F)), lambda r: chr(r.randint(0x391, 0x3A1)), lambda r: chr(r.randint(0x410, 0x44F)),
    lambda r: chr(r.randint(0x4E00, 0x9FA5)), lambda r: chr(r.randint(0x3041, 0x3096)), lambda r: chr(r.randint(0xAC00, 0xD7A3)),
    lambda r: chr(r.randint(0x300, 0x36F)), lambda r: chr(r.randint(0x905, 0x914)), lambda r: chr(r.randint(0x93E, 0x94D)),
    lambda r: r.choice('\u00a0\u2003\u3000\u0085\u2028'), lambda r: r.choice('。，！？「」‘’“”…—'), lambda r: r.choice('😀🚀€£©™+<=>'),
    lambda r: r.choice('²½Ⅷ①٣०'), lambda r: r.choice('\u0000\u0007\u200b\u200d\ufeff\ue000'), lambda r: r.choice("'s 't 'RE 'll 'D 've 'x".split(' ')),
    lambda r: r.choice('ǅᾈʰªºー々〇〡'), lambda r: r.choice(['Hello', 'world', ' the', 'HTTPServer', 'iPhone', '1234567', '\n\n', '   '])]


def random_text(r):
    few = r.sample(PIECES, r.randint(1, 6))
    return ''.join(r.choice(few)(r) for _ in range(r.randint(1, 24)))


def main():
    sys.stdout.reconfigure(encoding='utf-8')
    splitters = {name: Sequence([Split(Regex(p), 'isolated') for p in patterns]) for name, patterns in PATTERNS.items()}
    r = random.Random(20)
    texts = [random_text(r) for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 400)]
    # Cut positions in characters.
    cuts = {name: [[end for _, (_, end) in splitter.pre_tokenize_str(text)] for text in texts]
            for name, splitter in splitters.items()}
    json.dump({'texts': texts, 'cuts': cuts}, sys.stdout, ensure_ascii=True, separators=(',', ':'))
    print()


if __name__ == '__main__':
    main()
