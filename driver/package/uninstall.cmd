@echo off
rem Takes the Ringwave driver out of Windows: from its devices, out of the driver store, and the test
rem certificate from the machine's certificate stores.
rem   uninstall.cmd [/keep-certificate]
rem Exit code: 0 it is gone, 1 something of it stayed, 2 this user cannot, 5 a restart is needed.
setlocal EnableExtensions
cd /d "%~dp0"
if /i not "%~1"=="" if /i not "%~1"=="/keep-certificate" (
    echo Usage: uninstall.cmd [/keep-certificate]
    exit /b 2
)

fltmc >nul 2>&1
if errorlevel 1 (
    echo This needs an administrator: right-click uninstall.cmd, "Run as administrator".
    exit /b 2
)

echo Ringwave: 1 of 2: the driver
set "result=0"
set "published="
set "packages="
for /f "tokens=1* delims=:" %%a in ('pnputil /enum-drivers') do call :driver "%%b"
if not defined packages echo   No Ringwave package in the driver store.
for %%p in (%packages%) do call :remove %%p

echo Ringwave: 2 of 2: the test certificate
if /i "%~1"=="/keep-certificate" (
    echo   Kept.
    goto done
)
if not exist ringwave-test.cer (
    echo   No ringwave-test.cer here: nothing to take out.
    goto done
)
rem The file is the certificate itself, so its SHA-1 is the certificate's thumbprint.
set "thumbprint="
for /f "skip=1 tokens=*" %%h in ('certutil -hashfile ringwave-test.cer SHA1') do if not defined thumbprint set "thumbprint=%%h"
if not defined thumbprint (
    echo   certutil could not read ringwave-test.cer: nothing was taken out.
    set "result=1"
    goto done
)
set "thumbprint=%thumbprint: =%"
for %%s in (Root TrustedPublisher) do (
    certutil -delstore %%s %thumbprint% >nul 2>&1
    if errorlevel 1 (
        echo   It was not in %%s.
    ) else (
        echo   Taken out of %%s.
    )
)
:done
if "%result%"=="5" echo Restart Windows to complete it.
exit /b %result%

rem Removes one package, %1, and remembers how it went.
:remove
echo   Removing %1 from its devices and from the driver store.
pnputil /delete-driver %1 /uninstall
set "code=%errorlevel%"
if "%code%"=="0" exit /b 0
if "%code%"=="3010" (
    if "%result%"=="0" set "result=5"
    exit /b 0
)
echo   pnputil ended with %code%: close what plays sound and run uninstall.cmd again.
set "result=1"
exit /b 0

rem A value of pnputil's list. Its labels are in the user's language, its names are not: a published name
rem comes before its original name.
:driver
set "value="
for /f "tokens=*" %%v in ("%~1") do set "value=%%v"
if not defined value exit /b 0
if /i "%value:~0,3%"=="oem" set "published=%value%"
if /i "%value%"=="ringwave.inf" set "packages=%packages% %published%"
exit /b 0
