#!/bin/sh
# Makes voices.stridorpack: three singers of openly licensed recordings, adapted on the shipped voice, signed.
#
#   presets/packs/make.sh VOICES [RUNS] [MINUTES]
#
# VOICES   folder of the recordings: catalog.csv (columns file, technique) and what it names
# RUNS     where training leaves its folders (runs/factory); the same call goes on where it was stopped
# MINUTES  processor time of training, each (2.5)
# With WEIGHTS set, the voice in that folder is adapted, not the shipped one.
#
# Signs with your key (`stridor presets keys --make` makes one, in your configuration folder) and writes its public half
# to key.json beside the pack. Nothing of the private half is written anywhere.
set -eu
voices=$(realpath "${1:?the folder of the recordings}")
here=$(realpath "$(dirname "$0")")
cd "$here/../.."
runs=$(realpath -m "${2:-runs/factory}")
minutes=${3:-2.5}
python=${PYTHON:-python}
consent='published by its makers under the licence named'
export XDG_DATA_HOME="$runs/data"
mkdir -p "$XDG_DATA_HOME"

stridor() { "$python" -m app.main "$@"; }

# files_of TECHNIQUES COLLECTION: the recordings of some techniques of one collection
files_of() {
    awk -F, -v voices="$voices" -v kinds="^($1)\$" -v from="^$2/" \
        'NR > 1 && $1 ~ from && $2 ~ kinds { print voices "/" $1 }' "$voices/catalog.csv"
}

# adapt RUN TECHNIQUE MATERIAL-MINUTES LICENCE AUTHOR NAME < files
adapt() {
    [ -f "$runs/$1/report.json" ] || xargs -d '\n' env XDG_DATA_HOME="$XDG_DATA_HOME" "$python" -m app.main adapt \
        --run "$runs/$1" --technique "$2" --material-minutes "$3" --licence "$4" --author "$5" --name "$6" \
        --consent "$consent" --minutes "$minutes" --clock processor --threads 1 --workers 0 --device cpu --install \
        ${WEIGHTS:+--weights "$WEIGHTS"}
}

files_of 'growl_phrase|growl_vowel|growl_diphthong|growl_exclamation' merry-orks |
    adapt growler growl 2 CC0-1.0 'Merry Orks by Karoryfer Samples' 'Growler of the Merry Orks'
files_of 'whisper' producer-space |
    adapt whisperer whisper 0.8 CC0-1.0 'Producer Space' 'Whisperer'
files_of 'sung_note_sustained|sung_vowel_sustained|sung_vowel_sustained_rawtake' vocobox |
    adapt singer modal 2 MIT 'vocobox human-voice-dataset, (c) 2014 vocobox' 'Martin sings'

stridor presets pack growler_of_the_merry_orks whisperer martin_sings -o "$here/voices.stridorpack" \
    --id stridor-voices --name 'Three voices' --author Stridor --licence 'CC0-1.0 AND MIT' \
    --consent "Recordings $consent: Merry Orks (CC0), Producer Space (CC0), vocobox (MIT)." \
    --description 'A death-metal growler, a whisperer and a male singer, each adapted from two minutes or less.' \
    --text "$here/attribution.txt" --previews
"$python" -c "
import json, sys, zipfile
key = json.loads(zipfile.ZipFile(sys.argv[1]).read('signature.json'))['public_key']
print(json.dumps({'revision': 1, 'public_key': key}, indent=2))
" "$here/voices.stridorpack" > "$here/key.json"
stridor presets verify "$here/voices.stridorpack"
