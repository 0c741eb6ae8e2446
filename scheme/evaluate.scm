;;; SPDX-License-Identifier: GPL-3.0-or-later
;;;
;;; Computes the derivations of a set of packages inside the Guix that runs
;;; this, and reports each as a line of JSON on file descriptor 3, as soon as
;;; it is known.  README.md describes the request and the lines.
;;;
;;;   guix repl -- evaluate.scm REQUEST-FILE

(use-modules (gnu packages)
             (guix channels)
             (guix derivations)
             (guix describe)
             (guix diagnostics)
             (guix discovery)
             (guix gexp)
             (guix grafts)
             (guix i18n)
             (guix monads)
             (guix packages)
             (guix profiles)
             (guix store)
             (guix ui)
             (guix utils)
             (json)
             (ice-9 exceptions)
             (ice-9 match)
             (ice-9 pretty-print)
             (ice-9 rdelim)
             (ice-9 regex)
             (ice-9 textual-ports)
             (srfi srfi-1)
             (srfi srfi-26)
             (srfi srfi-34)
             (srfi srfi-35)
             (srfi srfi-71))


;;;
;;; Lines of JSON.
;;;

(define %flush-interval
  ;; The longest that a line waits for the next one, in internal time units.
  (quotient internal-time-units-per-second 10))

(define %output
  (let ((port (fdopen 3 "w")))
    (set-port-encoding! port "UTF-8")
    (set-port-conversion-strategy! port 'substitute)
    (setvbuf port 'block (expt 2 16))
    port))

(define %characters-to-escape
  (char-set-union (ucs-range->char-set 0 32) (char-set #\" #\\)))

(define (write-json-string text)
  (define (escape char)
    (cond ((memv char '(#\" #\\)) (string #\\ char))
          ((char=? char #\nul) "?")         ;JSON texts for C hold none
          ((char<? char #\space)
           (string-append "\\u" (string-pad (number->string (char->integer char)
                                                            16)
                                            4 #\0)))
          (else (string char))))

  (put-char %output #\")
  (put-string %output
              (if (string-index text %characters-to-escape)
                  (string-concatenate (map escape (string->list text)))
                  text))
  (put-char %output #\"))

(define write-line-of-json
  (let ((flushed 0))
    (lambda (type . fields)
      "Write an object of TYPE with FIELDS: KEY VALUE ..., where a value is a
string or an integer."
      (put-string %output "{\"type\":")
      (write-json-string type)
      (let loop ((fields fields))
        (match fields
          (() #t)
          ((key value rest ...)
           (put-char %output #\,)
           (write-json-string key)
           (put-char %output #\:)
           (if (number? value)
               (put-string %output (number->string value))
               (write-json-string value))
           (loop rest))))
      (put-string %output "}\n")
      (let ((now (get-internal-real-time)))
        (when (> (- now flushed) %flush-interval)
          (force-output %output)
          (set! flushed now))))))


;;;
;;; Jobs and errors.
;;;

(define %jobs 0)
(define %errors 0)

(define %longest-limit
  ;; Seconds; the same as in results.c.
  (* 30 24 3600))

(define (job? job)
  "Is JOB an alist as 'derivation->job' of (gnu ci) makes it, but for its limits?"
  (define name? (lambda (value) (or (string? value) (symbol? value))))

  (and (list? job)
       (every pair? job)
       (name? (assq-ref job #:job-name))
       (string? (assq-ref job #:system))
       (string? (assq-ref job #:derivation))))

(define (job-name job)
  "Return the name of JOB as a string: that of Guix itself is a symbol."
  (match (assq-ref job #:job-name)
    ((? symbol? name) (symbol->string name))
    (name name)))

(define (job-limit job key)
  "Return the seconds that JOB gives for KEY, 0 where it gives none.  They come
from a package's properties, where anything may stand."
  (match (assq-ref job key)
    (#f 0)
    ((? (lambda (value)
          (and (real? value) (not (nan? value)) (>= value 0)))
        seconds)
     (inexact->exact (round (min seconds %longest-limit))))
    (value
     (raise (formatted-message (G_ "~a: ~s is no number of seconds~%")
                               (keyword->symbol key) value)))))

(define (job-fields job)
  "Return what a line says of JOB, an alist as made by 'derivation->job' of (gnu
ci)."
  (list "name" (job-name job)
        "system" (assq-ref job #:system)
        "derivation" (assq-ref job #:derivation)
        "timeout" (job-limit job #:timeout)
        "max_silent" (job-limit job #:max-silent-time)))

(define (exception-text exception)
  (match (exception-kind exception)
    ('quit
     "the code called 'exit'; the log may say why")
    ((or '%exception 'srfi-34)
     (cond ((formatted-message? exception)
            (apply format #f (G_ (formatted-message-string exception))
                   (formatted-message-arguments exception)))
           ((message-condition? exception)
            (G_ (condition-message exception)))
           (else
            (object->string exception))))
    (key                                          ;of 'throw'
     (call-with-output-string
       (lambda (port)
         (print-exception port #f key (exception-args exception)))))))

(define (message-place message)
  "Return the location at the start of MESSAGE, \"FILE:LINE:COLUMN: ...\" of
Guile's reader, or #f."
  (match (string-match "^([^:]+):([0-9]+):([0-9]+): " message)
    (#f #f)
    (found (location (match:substring found 1)
                     (string->number (match:substring found 2))
                     (max 0 (- (string->number (match:substring found 3)) 1))))))

(define (exception-place exception)
  "Return the location that EXCEPTION itself knows of, or #f."
  (match (cons (exception-kind exception) (exception-args exception))
    (('syntax-error _ _ properties . _)
     (source-properties->location properties))
    (('read-error _ (? string? message) . _)
     (message-place message))
    (_
     (and (error-location? exception) (error-location exception)))))

(define (form-place form file name)
  "Return the location, in NAME, of the first expression of FILE that equals
FORM, or #f."
  (define (find-form expression)
    (and (pair? expression)
         (if (equal? expression form)
             (source-properties->location (source-properties expression))
             (or (find-form (car expression))
                 (find-form (cdr expression))))))

  (define (find-next port)
    (match (read port)
      ((? eof-object?) #f)
      (expression (or (find-form expression) (find-next port)))))

  (and=> (false-if-exception (call-with-input-file file find-next))
         (lambda (place)
           (location name (location-line place) (location-column place)))))

;; Folders to which names of files in errors are relative.
(define %checkouts (make-parameter '()))

(define (relative-file file)
  (match (find (cut string-prefix? <> file)
               (map (cut string-append <> "/") (%checkouts)))
    (#f file)
    (folder (string-drop file (string-length folder)))))

(define (report-failure name exception place)
  "Report that NAME could not be computed because of EXCEPTION.  PLACE is the
location to tell when EXCEPTION does not know better, or #f."
  (let ((place (or (exception-place exception) place)))
    (set! %errors (+ 1 %errors))
    (write-line-of-json "error"
                        "name" name
                        "message" (string-trim-both
                                   (or (false-if-exception
                                        (exception-text exception))
                                       (G_ "an error that cannot be printed")))
                        "file" (or (and=> (and=> place location-file)
                                          relative-file)
                                   "")
                        "line" (or (and=> place location-line) 0)
                        "column" (or (and=> place location-column) 0))))

;; Is the store still there?  A thunk of 'evaluate'.
(define %check-store (make-parameter (const #t)))

(define* (call-reporting name thunk #:optional place)
  "Return what THUNK returns, or report its failure as that of NAME and return
the empty list.  When the store does not answer any more, that is nobody's
failure: the evaluation ends."
  (with-exception-handler
      (lambda (exception)
        ((%check-store))
        (report-failure name exception place)
        '())
    thunk
    #:unwind? #t))

(define* (report-jobs name thunk #:key place (check (const #t)))
  "Report each of the jobs that THUNK returns.  Where it fails, that is told of
NAME; what is no job, or one that CHECK refuses by an exception, costs itself."
  (define (checked-fields job)
    (unless (job? job)
      (raise (formatted-message (G_ "this is no job: ~a~%")
                                (call-with-output-string
                                  (cut truncated-print job <> #:width 100)))))
    (check job)
    (list (job-fields job)))

  (define (report-job job)
    (for-each (lambda (fields)
                (set! %jobs (+ 1 %jobs))
                (apply write-line-of-json "job" fields))
              (call-reporting (if (job? job) (job-name job) name)
                              (cut checked-fields job)
                              place)))

  (for-each report-job
            (call-reporting name
                            (lambda ()
                              (match (thunk)
                                ((? list? jobs) jobs)
                                (_ (raise (formatted-message
                                           (G_ "~a: this is no list of jobs~%")
                                           name)))))
                            place)))

(define (for-each-with-progress proc things)
  "Call PROC on each of THINGS, reporting about every second how far it is."
  (define total (length things))

  (define (report done)
    (write-line-of-json "progress" "done" done "total" total))

  (let loop ((things things)
             (done 0)
             (next (get-internal-real-time)))
    (match things
      (() #t)
      ((thing rest ...)
       (proc thing)
       (let ((now (get-internal-real-time))
             (done (+ 1 done)))
         (when (>= now next)
           (report done))
         (loop rest done
               (if (>= now next) (+ now internal-time-units-per-second) next))))))
  (report total))


;;;
;;; Channels.
;;;

(define (channel-directory metadata)
  "Return the folder named in METADATA, what a '.guix-channel' file holds."
  (match metadata
    (('channel ('version 0) properties ...)
     (match (assq-ref properties 'directory)
       (((? string? directory)) (string-trim-both directory #\/))
       (#f "")))
    (('channel ('version version) _ ...)
     (raise (formatted-message (G_ "unsupported '.guix-channel' version: ~s~%")
                               version)))))

(define (channel-load-path channel)
  "Return the folder in the checkout of CHANNEL, an alist of the request, that
holds its modules: '.guix-channel' may name one.  Without knowing it there is
nothing to evaluate."
  (define checkout (assoc-ref channel "checkout"))
  (define file (in-vicinity checkout ".guix-channel"))

  (define (unreadable exception)
    (let ((text (if (eq? 'match-error (exception-kind exception))
                    (G_ "invalid '.guix-channel' file")
                    (exception-text exception))))
      (leave (G_ "channel ~a: .guix-channel: ~a~%")
             (assoc-ref channel "name")
             (string-trim-both text))))

  (string-trim-right
   (if (file-exists? file)
       (in-vicinity checkout
                    (with-exception-handler unreadable
                      (lambda ()
                        (channel-directory (call-with-input-file file read)))
                      #:unwind? #t))
       checkout)
   #\/))

(define (add-load-path! directory)
  "Let Guix find modules, packages and patches in DIRECTORY, as 'guix build -L
DIRECTORY' does."
  (set! %load-path (cons directory %load-path))
  (set! %load-compiled-path (cons directory %load-compiled-path))
  (%package-module-path (cons directory (%package-module-path)))
  (%patch-path (cons directory (%patch-path))))

(define (module-file? file)
  "Does FILE define a module?  Channels also hold manifests and the like.  What
cannot be read is taken for a module."
  (match (false-if-exception (call-with-input-file file read))
    ((or #f ((or 'define-module 'define-library 'library) . _)) #t)
    (_ #f)))

(define (load-modules directory)
  "Load every module below DIRECTORY, reporting those that fail, and return the
interfaces of the others."
  (define (place file relative arguments)
    (or (match arguments
          (('syntax-error _ _ #f form . _) (form-place form file relative))
          (_ #f))
        (location relative 0 0)))

  (define (failed file module arguments)
    (let ((relative (string-drop file (+ 1 (string-length directory)))))
      ;; It fails itself on some ARGUMENTS, such as those of 'exit'.
      (false-if-exception (warn-about-load-error file module arguments))
      (when (module-file? file)
        (report-failure relative
                        (make-exception-from-throw (car arguments)
                                                   (cdr arguments))
                        (place file relative arguments)))))

  (all-modules (list directory) #:warn failed))

(define (package-in? directories)
  "Return a predicate: is a package defined in a file below DIRECTORIES?"
  (define (below? file)
    (any (lambda (directory)
           (string-prefix? (string-append directory "/") file))
         directories))

  (lambda (package)
    (let* ((file (and=> (package-location package) location-file))
           (file (and file (if (string-prefix? "/" file)
                               file
                               (search-path %load-path file)))))
      (and file (below? file)))))

(define (channel->sexp channel)
  "Return CHANNEL, an alist of the request, as 'cuirass-jobs' wants it: its URL
is its checkout."
  `(repository (version 0)
               (url ,(assoc-ref channel "checkout"))
               (branch ,(assoc-ref channel "branch"))
               (commit ,(assoc-ref channel "commit"))
               (name ,(string->symbol (assoc-ref channel "name")))))


;;;
;;; The sets of jobs, as (gnu ci) defines them.
;;;

(define ci-module
  ;; Compiled modules of Guix keep only what they export, so run (gnu ci) from
  ;; its source to have the rest as well.
  (delay
    (begin
      (save-module-excursion
       (lambda ()
         (parameterize ((current-warning-port (%make-void-port "w")))
           (primitive-load (%search-load-path "gnu/ci.scm")))))
      (resolve-module '(gnu ci)))))

(define (ci name)
  "Return the procedure NAME of (gnu ci), exported or not, or #f where this
version of Guix has none."
  (module-ref (force ci-module) name #f))

(define (report-package-jobs packages package-jobs)
  "Report the jobs that PACKAGE-JOBS returns for each of PACKAGES."
  (for-each-with-progress
   (lambda (package)
     (report-jobs (package-full-name package)
                  (cut package-jobs package)
                  #:place (package-location package)))
   packages))

(define (report-cross-jobs store system)
  "Report the cross-compilation jobs.  'cross-jobs' decides which, and makes
each by way of 'package-cross-job'."
  (define package-cross-job (ci 'package-cross-job))

  (define (guarded-job store name package target system)
    (report-jobs (string-append target "." name)
                 (lambda ()
                   (list (package-cross-job store name package target system)))
                 #:place (package-location package)))

  (module-set! (force ci-module) 'package-cross-job guarded-job)
  ((ci 'cross-jobs) store system))

(define (report-all store system arguments)
  "Report a job for every package, its tuned variants, and the cross jobs."
  (define package->job (ci 'package->job))
  (define tuned-package-jobs (ci 'tuned-package-jobs))

  (define (tuned-jobs package)
    (if ((ci 'tunable-package?) package)
        (call-reporting (string-append (package-full-name package) " (tuned)")
                        (cut tuned-package-jobs store package system)
                        (package-location package))
        '()))

  (define (package-jobs package)
    (match (package->job store package system)
      (#f '())
      (job (cons job (tuned-jobs package)))))

  (if (every ci '(all-packages package->job package-cross-job cross-jobs
                  tunable-package? tuned-package-jobs))
      (begin
        (report-package-jobs ((ci 'all-packages)) package-jobs)
        (report-cross-jobs store system))
      ;; Some other version of Guix: all or nothing.
      (report-jobs "(gnu ci)"
                   (lambda () ((ci 'cuirass-jobs) store arguments)))))

(define (packages-to-build modules mine?)
  "Return the packages of MODULES for which MINE? holds, replacements included,
superseded ones not, hidden ones included."
  (fold-packages (lambda (package result)
                   (cond ((not (mine? package)) result)
                         ((package-replacement package)
                          => (cut cons* <> package result))
                         ((package-superseded package) result)
                         (else (cons package result))))
                 '()
                 modules
                 #:select? (const #t)))

(define (report-packages store system packages)
  (define package-job (ci 'package-job))

  (report-package-jobs packages
                       (lambda (package)
                         (let ((name (package-name package)))
                           (if (supported-package? package system)
                               (list (package-job store name package system))
                               '())))))

(define (specification->package* specification)
  "Like 'specification->package', which exits when there is no such package."
  (let ((name version (package-name->name+version specification)))
    (when (null? (find-best-packages-by-name name version))
      (raise (formatted-message (G_ "~A: unknown package~%") specification)))
    (specification->package specification)))

(define (find-packages specifications)
  (append-map (lambda (specification)
                (call-reporting specification
                                (lambda ()
                                  (list (specification->package* specification)))))
              specifications))

(define (report-manifest store system name file)
  "Report a job for each entry of the manifest in FILE, called NAME in the
request."
  (define (load-manifest)
    (save-module-excursion
     (lambda ()
       (set-current-module (make-user-module '((guix profiles) (gnu))))
       (manifest-entries (primitive-load file)))))

  (define (entry-jobs entry)
    (match (manifest-entry-item entry)
      ((? package? package)
       (if (supported-package? package system)
           (list (entry-job entry (package-properties package)))
           '()))
      (_
       (list (entry-job entry '())))))

  (define (entry-job entry properties)
    ((ci 'derivation->job) (entry-name entry)
     (run-with-store store
       (lower-object (manifest-entry-item entry) system)
       #:system system)
     #:timeout (or (assq-ref properties 'timeout) 18000)
     #:max-silent-time (or (assq-ref properties 'max-silent-time) 3600)))

  (define (entry-name entry)
    (string-append (manifest-entry-name entry) "-"
                   (manifest-entry-version entry)))

  (for-each-with-progress
   (lambda (entry)
     (report-jobs (entry-name entry)
                  (cut entry-jobs entry)
                  #:place (match (manifest-entry-item entry)
                            ((? package? package) (package-location package))
                            (_ #f))))
   (delete-duplicates (call-reporting name load-manifest)
                      manifest-entry=?)))

(define (report-manifests store system files checkouts)
  "Report the jobs of the manifest FILES, each looked for in CHECKOUTS."
  (define (locate file)
    (or (find file-exists? (map (cut in-vicinity <> file) checkouts))
        (raise (formatted-message (G_ "~a: no such manifest~%") file))))

  (for-each (lambda (name)
              (match (call-reporting name (lambda () (list (locate name))))
                (() #t)
                ((file) (report-manifest store system name file))))
            files))

(define (report-custom store modules arguments)
  "Report the jobs of 'cuirass-jobs' of each of MODULES."
  (define (check job)
    ;; It may name what it has not made: keep that, if it is there.  That it is
    ;; a derivation was guix-daemon's affair.
    (let ((derivation (assq-ref job #:derivation)))
      (unless (and (derivation-path? derivation)
                   (direct-store-path? derivation)
                   (begin
                     (add-temp-root store derivation)
                     (valid-path? store derivation)))
        (raise (formatted-message
                (G_ "~a: there is no such derivation in the store~%")
                derivation)))))

  (for-each (lambda (module)
              (report-jobs (object->string module)
                           (lambda ()
                             ((module-ref (resolve-interface module)
                                          'cuirass-jobs)
                              store arguments))
                           #:check check))
            modules))

(define (known-systems)
  "Return the systems that this Guix knows."
  (delete-duplicates
   (append %supported-systems
           (or (false-if-exception ((module-ref (resolve-interface '(guix platform))
                                                'systems)))
               '()))))

(define (known-system? system)
  "Does this Guix know SYSTEM?  Else report that: it would make no jobs."
  (pair? (call-reporting
          system
          (lambda ()
            (let ((known (known-systems)))
              (unless (member system known)
                (raise (formatted-message
                        (G_ "~a: this Guix knows no such system, but ~a~%")
                        system (string-join known ", "))))
              (list system))))))

(define (string->module-name text)
  "Return the module name in TEXT, which looks like \"my ci\" or \"(my ci)\"."
  (map string->symbol
       (string-tokenize text (char-set-complement (char-set #\space #\( #\))))))


;;;
;;; Entry point.
;;;

(define (evaluate store request)
  "Report all jobs that REQUEST, an alist, asks for."
  (define system (assoc-ref request "system"))
  (define overlay? (string=? (assoc-ref request "mode") "overlay"))
  (define channels (vector->list (assoc-ref request "channels")))
  (define checkouts (map (cut assoc-ref <> "checkout") channels))

  (define directories                     ;alist of channel name, load path
    (if overlay?
        (map (lambda (channel)
               (cons (assoc-ref channel "name") (channel-load-path channel)))
             channels)
        '()))

  (define modules
    (begin
      (for-each add-load-path! (reverse (map cdr directories)))
      (append-map load-modules (map cdr directories))))

  (define (arguments subset)              ;of 'cuirass-jobs'
    `((subset . ,subset)
      (systems . ,(list system))
      (channels . ,(map channel->sexp channels))))

  (define (check-channel name)
    (call-reporting name
                    (lambda ()
                      (unless (find (lambda (channel)
                                      (equal? name (assoc-ref channel "name")))
                                    channels)
                        (raise (formatted-message (G_ "~a: no such channel~%")
                                                  name))))))

  (define (packages-of names)
    (for-each check-channel names)
    (if overlay?
        (packages-to-build modules
                           (package-in? (filter-map (cut assoc-ref directories <>)
                                                    names)))
        (filter (lambda (package)
                  (any (lambda (channel)
                         (member (symbol->string (channel-name channel)) names))
                       (package-channels package)))
                ((ci 'all-packages)))))

  (define (channel-jobs package)
    (match ((ci 'package->job) store package system)
      (#f '())
      (job (list job))))

  (match (assoc-ref request "build")
    ("all"
     (report-all store system (arguments 'all)))
    ((("channels" . #(names ...)))
     (report-package-jobs (packages-of names) channel-jobs))
    ((("packages" . #(names ...)))
     (report-packages store system (find-packages names)))
    ((("manifests" . #(files ...)))
     (report-manifests store system files checkouts))
    ((("custom" . #((= string->module-name modules) ...)))
     (report-custom store modules (arguments `(custom ,@modules))))
    (build
     (leave (G_ "cannot build ~s~%") build))))

(match (command-line)
  ((_ file)
   (let ((request (call-with-input-file file json->scm)))
     (with-store store
       (parameterize ((%graft? #f)
                      (%check-store
                       (lambda ()
                         (unless (false-if-exception
                                  (begin (query-failed-paths store) #t))
                           (leave (G_ "the connection to guix-daemon is lost~%")))))
                      (%checkouts (map (cut assoc-ref <> "checkout")
                                       (vector->list
                                        (assoc-ref request "channels"))))
                      (%current-system (assoc-ref request "system")))
         (when (known-system? (assoc-ref request "system"))
           (evaluate store request)))
       (write-line-of-json "done" "jobs" %jobs "errors" %errors)
       (force-output %output)
       ;; What was added to the store is protected as long as this connection
       ;; is open: keep it until the reader has all it wants.
       (read-line (current-input-port)))))
  ((program _ ...)
   (leave (G_ "usage: ~a REQUEST-FILE~%") program)))
