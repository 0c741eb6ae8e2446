# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of panoply for fish: the program itself knows what may come next.
function __panoply_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (command $words[1] complete $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            printf '%s\n' $line
        end
    end
end
complete -c panoply -f -a '(__panoply_complete)'
