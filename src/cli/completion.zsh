#compdef panoply
# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of panoply for zsh: the program itself knows what may come next.
_panoply() {
  local line
  local -a offered
  for line in "${(@f)$("${words[1]}" complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files) _files ;;
      *) offered+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
    esac
  done
  (( $#offered )) && _describe -V panoply offered
}
if [[ $funcstack[1] == _panoply ]]; then
  _panoply "$@"
else
  compdef _panoply panoply
fi
